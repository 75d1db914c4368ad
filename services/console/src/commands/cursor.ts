import { readCursor } from '@headwater/streams';
import type { Command } from 'commander';
import { setCursor } from '../actions/cursors.ts';
import { onRecord } from '../actions/on-record.ts';
import { CommandError } from '../errors.ts';
import { withRedis } from '../open.ts';

interface Options {
  dryRun?: boolean;
  reason?: string;
}

/** `headwater cursor get | set`: how far a host was read. */
export function addCursor(program: Command): void {
  const cursor = program.command('cursor').description('see or set how far a host was read');
  cursor
    .command('get')
    .argument('<stream>', 'repo_backfill, firehose_live or label_live')
    .argument('<host>', 'the relay or labeler as in the settings')
    .addHelpText('after', '\nExample:\n  headwater cursor get firehose_live bsky.network')
    .action(async (stream: string, host: string) => {
      const value = await withRedis((redis) => readCursor(redis, stream, host));
      if (value === null) throw new CommandError(`${stream} has no cursor for ${host}`);
      console.log(value);
    });
  cursor
    .command('set')
    .description('pause the ingester first: refused while one follows the host')
    .argument('<stream>', 'repo_backfill, firehose_live or label_live')
    .argument('<host>', 'the relay or labeler as in the settings')
    .argument('<value>', 'cursor as the host gives it')
    .option('--dry-run', 'only say what would be done')
    .option('--reason <text>', 'why, for the audit')
    .addHelpText(
      'after',
      '\nExample:\n  headwater cursor set label_live mod.bsky.app 0 --reason "from the first"',
    )
    .action(async (stream: string, host: string, value: string, options: Options) => {
      await withRedis(async (redis, settings) => {
        const old = await readCursor(redis, stream, host);
        if (options.dryRun) {
          return console.log(
            `cursor of ${stream} for ${host} would be set from ${old ?? 'none'} to ${value}`,
          );
        }
        const act = { action: 'cursor set', subject: `${stream} ${host}`, reason: options.reason };
        const run = async () => {
          const from = await setCursor(redis, { stream, host, to: value });
          return `cursor of ${stream} for ${host} set from ${from ?? 'none'} to ${value}`;
        };
        console.log(await onRecord(settings, act, run));
      });
    });
}
