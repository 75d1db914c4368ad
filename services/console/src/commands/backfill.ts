import { encodeRepoJob } from '@headwater/events';
import { keysOf, Producer, type Redis } from '@headwater/streams';
import type { Command } from 'commander';
import { onRecord } from '../actions/on-record.ts';
import { untilBelow, untilQuiet } from '../backfill/pace.ts';
import { type Sources, type Wanted, wantedRepos } from '../backfill/sources.ts';
import { CommandError } from '../errors.ts';
import { type ConsoleSettings, type Sql, withRedis, withSql } from '../open.ts';
import { wholeNumber } from '../words.ts';

interface Options extends Sources {
  force?: boolean;
  dryRun?: boolean;
  limit?: number;
  maxPending?: number;
  waitQuiet?: boolean;
  reason?: string;
}

interface Tally {
  sent: number;
  upToDate: number;
}

const help = `
What is listed with a rev that we have already is skipped, unless forced.

Examples:
  headwater backfill --did did:plc:z72i7hdynmk6r22z27h6tvur --force
  headwater backfill --host pds.example.com --dry-run
  headwater backfill --collection app.bsky.feed.generator --host bsky.network --max-pending 10000
  headwater backfill --file dids.txt --limit 1000 --wait-quiet`;

/** `headwater backfill`: have repos looked at now, ahead of the enumeration. */
export function addBackfill(program: Command): void {
  program
    .command('backfill')
    .description('have repos fetched ahead of all others')
    .option('--did <did...>', 'repos to fetch')
    .option('--file <path>', 'repos to fetch, one DID a line; - is standard input')
    .option('--host <host>', 'all repos that a PDS or relay lists')
    .option('--collection <nsid>', 'repos with at least one record of it, as --host or the first relay knows')
    .option('--force', 'compare again also where the stored rev is as new')
    .option('--limit <n>', 'no more than so many repos', wholeNumber)
    .option('--max-pending <n>', 'wait while more than so many repos wait to be fetched', wholeNumber)
    .option('--wait-quiet', 'begin when nothing is being backfilled, and end when nothing is any more')
    .option('--dry-run', 'only say what would be done')
    .option('--reason <text>', 'why, for the audit')
    .addHelpText('after', help)
    .action(backfill);
}

async function backfill(options: Options): Promise<void> {
  const { did, file, host, collection, dryRun, reason } = options;
  const subject = [...(did?.slice(0, 20) ?? []), file, host, collection].filter(Boolean).join(' ');
  if (subject === '') throw new CommandError('say which repos: --did, --file, --host or --collection');
  await withRedis((redis, settings) =>
    withSql(settings, async (sql) => {
      const run = () => send(options, { redis, sql, settings });
      console.log(await (dryRun ? run() : onRecord(settings, { action: 'backfill', subject, reason }, run)));
    }),
  );
}

async function send(
  { force = false, dryRun, limit = Infinity, maxPending, waitQuiet, ...sources }: Options,
  { redis, sql, settings }: { redis: Redis; sql: Sql; settings: ConsoleSettings },
): Promise<string> {
  const producer = new Producer(redis, keysOf(redis, 'repo_backfill').urgent, {});
  const tally: Tally = { sent: 0, upToDate: 0 };
  if (waitQuiet && !dryRun) await untilQuiet(redis);
  for await (const lot of wantedRepos(sources, settings)) {
    const news = force ? lot : await withoutUpToDate(sql, lot);
    const part = news.slice(0, limit - tally.sent);
    if (!dryRun) {
      if (maxPending !== undefined) await untilBelow(redis, maxPending);
      await producer.append(part.map((repo) => jobOf(repo, force)));
    }
    tally.sent += part.length;
    tally.upToDate += lot.length - news.length;
    if (tally.sent >= limit) break;
  }
  if (waitQuiet && !dryRun) await untilQuiet(redis);
  return `${tally.sent} repos ${dryRun ? 'would be ' : ''}handed over, ${tally.upToDate} skipped as up to date`;
}

function jobOf({ did, host, rev }: Wanted, force: boolean) {
  return encodeRepoJob({ did, host, rev, active: true, reason: 'operator', ...(force && { force }) });
}

/** Without those of which we hold what was listed. Of what was not listed only its host can tell. */
async function withoutUpToDate(sql: Sql, lot: readonly Wanted[]): Promise<Wanted[]> {
  const listed = lot.filter(({ rev }) => rev !== '');
  if (listed.length === 0) return [...lot];
  const rows = await sql<{ did: string; rev: string }[]>`
    SELECT did, greatest(coalesce(floor, ''), coalesce(head, '')) AS rev FROM headwater.repo
    WHERE did = ANY(${listed.map(({ did }) => did)}) AND state = 'complete' AND gap_at IS NULL`;
  const held = new Map(rows.map(({ did, rev }) => [did, rev]));
  return lot.filter(({ did, rev }) => rev === '' || rev > (held.get(did) ?? ''));
}
