import { type DeadLetter, dead, type Redis } from '@headwater/streams';
import type { Command } from 'commander';
import { onRecord } from '../actions/on-record.ts';
import { CommandError } from '../errors.ts';
import { withRedis } from '../open.ts';
import { table } from '../table.ts';

interface Choice {
  all?: boolean;
  reason?: string;
  dryRun?: boolean;
  /** Why it is done. */
  why?: string;
}

/** `headwater dead list | show | requeue | discard`: entries that were set aside. */
export function addDead(program: Command): void {
  const group = program.command('dead').description('dead letters: entries that were set aside, and why');
  group
    .command('list')
    .argument('<stream>', 'repo_backfill, firehose_live, firehose_backfill or label_live')
    .option('--reason <reason>', 'only letters with this reason')
    .option('--after <id>', 'go on behind this letter')
    .option('--count <n>', 'letters a page', '50')
    .option('--json', 'JSON lines')
    .action(list);
  group.command('show').argument('<stream>', 'the stream').argument('<id>', "the letter's id").action(show);
  for (const verb of ['requeue', 'discard'] as const) {
    group
      .command(verb)
      .description(
        verb === 'requeue' ? 'put letters back, with their tries forgotten' : 'delete letters for good',
      )
      .argument('<stream>', 'the stream')
      .argument('[ids...]', 'ids of letters')
      .option('--all', 'every letter of the stream')
      .option('--reason <reason>', 'every letter with this reason')
      .option('--dry-run', 'only say what would be done')
      .option('--why <text>', 'why it is done, for the audit')
      .action((stream: string, ids: string[], choice: Choice) => move(verb, stream, ids, choice));
  }
}

async function list(
  stream: string,
  options: { reason?: string; after?: string; count: string; json?: boolean },
): Promise<void> {
  const { reason, after, count } = options;
  const found = await withRedis((redis) =>
    dead.list(redis, stream, {
      count: Number(count),
      ...(reason ? { reason } : {}),
      ...(after ? { after } : {}),
    }),
  );
  if (options.json) {
    for (const letter of found.letters) console.log(JSON.stringify(letter));
    return;
  }
  if (found.letters.length === 0) return console.log(`no dead letters in ${stream}`);
  const rows = found.letters.map((l) => [l.id, l.reason, l.attempts, l.last, l.error.slice(0, 60)]);
  console.log(table(['id', 'reason', 'tries', 'last', 'error'], rows));
  if (found.next) console.log(`more: headwater dead list ${stream} --after ${found.next}`);
}

async function show(stream: string, id: string): Promise<void> {
  const letter = await withRedis((redis) => dead.show(redis, stream, id));
  if (!letter) throw new CommandError(`${stream} has no dead letter ${id}: headwater dead list ${stream}`);
  console.log(JSON.stringify(letter, null, 2));
}

async function move(
  verb: 'requeue' | 'discard',
  stream: string,
  ids: string[],
  choice: Choice,
): Promise<void> {
  if (ids.length === 0 && !choice.all && !choice.reason) {
    throw new CommandError('name letters by id, or take --all or --reason');
  }
  await withRedis(async (redis, settings) => {
    const run = async () => {
      let moved = 0;
      for await (const part of chosen(redis, stream, ids, choice)) {
        moved += choice.dryRun ? part.length : await dead[verb](redis, stream, part);
      }
      const done = verb === 'requeue' ? 'put back' : 'discarded';
      return `${moved} letters of ${stream} ${choice.dryRun ? 'would be ' : ''}${done}`;
    };
    if (choice.dryRun) return console.log(await run());
    const which = ids.slice(0, 20).join(' ') || (choice.reason ? `with reason ${choice.reason}` : 'all');
    const act = { action: verb, subject: `${stream}: ${which}`, reason: choice.why };
    console.log(await onRecord(settings, act, run));
  });
}

/** Ids page by page; the letters of a page may be gone when the next is read. */
async function* chosen(
  redis: Redis,
  stream: string,
  ids: string[],
  choice: Choice,
): AsyncGenerator<string[]> {
  if (ids.length > 0) return yield ids;
  let after: string | undefined;
  do {
    const options = {
      count: 500,
      ...(choice.reason ? { reason: choice.reason } : {}),
      ...(after ? { after } : {}),
    };
    const page: { letters: DeadLetter[]; next: string | undefined } = await dead.list(redis, stream, options);
    yield page.letters.map((letter) => letter.id);
    after = page.next;
  } while (after !== undefined);
}
