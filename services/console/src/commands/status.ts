import { setTimeout as pause } from 'node:timers/promises';
import { type Lag, lagOf, mastersOf, pausesOf, type Redis } from '@headwater/streams';
import type { Command } from 'commander';
import { bulkSentence, bulkView } from '../bulk.ts';
import { type Hosts, hostsOf } from '../hosts.ts';
import { type Sql, withRedis, withSql } from '../open.ts';
import { age, size, table } from '../table.ts';

const streams = [
  ['repo_backfill:urgent', 'repo_backfill_group'],
  ['repo_backfill', 'repo_backfill_group'],
  ['firehose_backfill', 'firehose_group'],
  ['firehose_live', 'firehose_group'],
  ['label_live', 'label_group'],
] as const;

interface Status {
  at: string;
  streams: Record<string, Lag>;
  cursors: Record<string, string>;
  repos: Record<string, number>;
  gaps: number;
  /** What there is to say of bulk mode; null when it is off. */
  bulk: string | null;
  /** What stands still. */
  paused: string[];
  /** PDS hosts that fail, are left alone or are paused. */
  hosts: Hosts;
}

/** `headwater status`: streams, cursors and repos at one glance. */
export function addStatus(program: Command): void {
  program
    .command('status')
    .description('streams, cursors and repos at one glance')
    .option('--json', 'as JSON')
    .option('--watch', 'again every two seconds')
    .addHelpText('after', '\nExamples:\n  headwater status --watch\n  headwater status --json | jq .streams')
    .action(async (options: { json?: boolean; watch?: boolean }) => {
      await withRedis((redis, settings) =>
        withSql(settings, async (sql) => {
          do {
            const status = await look(redis, sql);
            if (options.watch && !options.json) process.stdout.write('\x1b[H\x1b[2J');
            console.log(options.json ? JSON.stringify(status) : render(status));
            if (options.watch) await pause(2000);
          } while (options.watch);
        }),
      );
    });
}

async function look(redis: Redis, sql: Sql): Promise<Status> {
  const lags = await Promise.all(
    streams.map(async ([stream, group]) => [stream, await lagOf(redis, stream, group)] as const),
  );
  const repos = await sql<{ state: string; n: number }[]>`
    SELECT state, count(*)::float8 AS n FROM headwater.repo GROUP BY state ORDER BY state`;
  const [gap] = await sql<{ n: number }[]>`
    SELECT count(*)::float8 AS n FROM headwater.repo WHERE gap_at IS NOT NULL`;
  return {
    at: new Date().toISOString(),
    streams: Object.fromEntries(lags),
    cursors: await cursors(redis),
    repos: Object.fromEntries(repos.map((row) => [row.state, row.n])),
    gaps: gap!.n,
    bulk: bulkSentence(await bulkView(sql)) ?? null,
    paused: Object.keys(await pausesOf(redis)),
    hosts: await hostsOf(redis),
  };
}

/** There is one cursor a host and stream: few keys, found by their names. */
async function cursors(redis: Redis): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const stream of ['repo_backfill', 'firehose_live', 'label_live']) {
    for (const pattern of [`${stream}:cursor:*`, `{${stream}}:cursor:*`]) {
      for (const key of await scan(redis, pattern)) found[key] = (await redis.get(key)) ?? '';
    }
  }
  return found;
}

async function scan(redis: Redis, pattern: string): Promise<string[]> {
  const keys: string[] = [];
  for (const node of await mastersOf(redis)) {
    let at = '0';
    do {
      const [next, page] = await node.scan(at, 'MATCH', pattern, 'COUNT', 1000);
      keys.push(...page);
      at = next;
    } while (at !== '0');
  }
  return keys.sort();
}

function render(status: Status): string {
  const rows = Object.entries(status.streams).map(([stream, lag]) => [
    stream,
    lag.length,
    size(lag.bytes),
    lag.lag,
    lag.pending,
    age(lag.oldestPendingMs),
    lag.parked,
    lag.dead,
    lag.consumers,
  ]);
  const head = ['stream', 'entries', 'bytes', 'lag', 'pending', 'oldest', 'parked', 'dead', 'consumers'];
  const cursorRows = Object.entries(status.cursors);
  const repoRows = Object.entries(status.repos);
  return [
    status.at,
    '',
    table(head, rows),
    '',
    cursorRows.length > 0 ? table(['cursor', 'value'], cursorRows) : 'no cursors yet',
    '',
    repoRows.length > 0 ? table(['repos', 'number'], repoRows) : 'no repos yet',
    `with a gap: ${status.gaps}`,
    ...(status.bulk === null ? [] : [status.bulk]),
    '',
    ...(status.paused.length > 0 ? [`paused: ${status.paused.join(', ')}`, ''] : []),
    ...hostLines(status.hosts),
  ].join('\n');
}

/** Nothing where there is nothing to be said of a host. */
function hostLines({ shown }: Hosts): string[] {
  if (shown.length === 0) return [];
  const rows = shown.map(({ host, pause, parkedMs, strikes, failures, error }) => [
    host,
    pause ? 'paused' : parkedMs === null ? 'asked' : `left alone for ${age(parkedMs)}`,
    strikes,
    failures,
    (error ?? '').slice(0, 80),
  ]);
  return [table(['host', 'state', 'strikes', 'in a row', 'last error'], rows), ''];
}
