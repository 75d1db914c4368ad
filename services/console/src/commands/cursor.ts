import { readCursor, writeCursor } from '@headwater/streams';
import type { Command } from 'commander';
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
    .action(async (stream: string, host: string) => {
      const value = await withRedis((redis) => readCursor(redis, stream, host));
      if (value === null) throw new CommandError(`${stream} has no cursor for ${host}`);
      console.log(value);
    });
  cursor
    .command('set')
    .description('stop the ingester first: a running one writes its own cursor over it')
    .argument('<stream>', 'repo_backfill, firehose_live or label_live')
    .argument('<host>', 'the relay or labeler as in the settings')
    .argument('<value>', 'cursor as the host gives it')
    .option('--dry-run', 'only say what would be done')
    .option('--reason <text>', 'why, for the audit')
    .action(async (stream: string, host: string, value: string, options: Options) => {
      await withRedis(async (redis, settings) => {
        const old = await readCursor(redis, stream, host);
        const change = `from ${old ?? 'none'} to ${value}`;
        if (options.dryRun) return console.log(`cursor of ${stream} for ${host} would be set ${change}`);
        const act = { action: 'cursor set', subject: `${stream} ${host}`, reason: options.reason };
        const run = async () => {
          await writeCursor(redis, stream, host, value);
          return `cursor of ${stream} for ${host} set ${change}`;
        };
        console.log(await onRecord(settings, act, run));
      });
    });
}
