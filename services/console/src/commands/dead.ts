import { dead } from '@headwater/streams';
import type { Command } from 'commander';
import { chosenLetters, moveLetters } from '../actions/letters.ts';
import { onRecord } from '../actions/on-record.ts';
import { CommandError } from '../errors.ts';
import { withRedis } from '../open.ts';
import { table } from '../table.ts';

interface Options {
  all?: boolean;
  /** Letters with this reason. */
  class?: string;
  dryRun?: boolean;
  /** Why it is done. */
  reason?: string;
}

/** `headwater dead list | show | requeue | discard`: entries that were set aside. */
export function addDead(program: Command): void {
  const group = program.command('dead').description('dead letters: entries that were set aside, and why');
  group
    .command('list')
    .argument('<stream>', 'repo_backfill, firehose_live, firehose_backfill or label_live')
    .option('--class <reason>', 'only letters that were set aside for this reason')
    .option('--after <id>', 'go on behind this letter')
    .option('--count <n>', 'letters a page', '50')
    .option('--json', 'JSON lines')
    .addHelpText('after', '\nExample:\n  headwater dead list repo_backfill --class bad-signature')
    .action(list);
  group
    .command('show')
    .argument('<stream>', 'the stream')
    .argument('<id>', "the letter's id")
    .addHelpText('after', '\nExample:\n  headwater dead show repo_backfill 1764000000000-0')
    .action(show);
  for (const verb of ['requeue', 'discard'] as const) {
    group
      .command(verb)
      .description(
        verb === 'requeue' ? 'put letters back, with their tries forgotten' : 'delete letters for good',
      )
      .argument('<stream>', 'the stream')
      .argument('[ids...]', 'ids of letters')
      .option('--all', 'every letter of the stream')
      .option('--class <reason>', 'every letter that was set aside for this reason')
      .option('--dry-run', 'only say what would be done')
      .option('--reason <text>', 'why it is done, for the audit')
      .addHelpText(
        'after',
        `\nExample:\n  headwater dead ${verb} repo_backfill --class timeout --reason "the host is back"`,
      )
      .action((stream: string, ids: string[], options: Options) => move(verb, stream, ids, options));
  }
}

async function list(
  stream: string,
  options: { class?: string; after?: string; count: string; json?: boolean },
): Promise<void> {
  const { class: reason, after, count } = options;
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
  options: Options,
): Promise<void> {
  const { all, class: reason, dryRun } = options;
  if (ids.length === 0 && !all && !reason) {
    throw new CommandError('name letters by id, or take --all or --class (--reason says why it is done)');
  }
  const choice = { stream, ids: ids.length > 0 ? ids : undefined, reason };
  await withRedis(async (redis, settings) => {
    if (dryRun) {
      let count = 0;
      for await (const page of chosenLetters(redis, choice)) count += page.length;
      return console.log(said(verb, count, stream, 'would be '));
    }
    const which = ids.slice(0, 20).join(' ') || (reason ? `with reason ${reason}` : 'all');
    const act = { action: verb, subject: `${stream}: ${which}`, reason: options.reason };
    const run = async () => said(verb, await moveLetters(redis, verb, choice), stream);
    console.log(await onRecord(settings, act, run));
  });
}

function said(verb: 'requeue' | 'discard', count: number, stream: string, would = ''): string {
  return `${count} letters of ${stream} ${would}${verb === 'requeue' ? 'put back' : 'discarded'}`;
}
