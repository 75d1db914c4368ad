import { readCursor, writeCursor } from '@headwater/streams';
import type { Command } from 'commander';
import { CommandError } from '../errors.ts';
import { withRedis } from '../open.ts';

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
    .action(async (stream: string, host: string, value: string, options: { dryRun?: boolean }) => {
      await withRedis(async (redis) => {
        const old = await readCursor(redis, stream, host);
        if (!options.dryRun) await writeCursor(redis, stream, host, value);
        const verb = options.dryRun ? 'would be set' : 'set';
        console.log(`cursor of ${stream} for ${host} ${verb} from ${old ?? 'none'} to ${value}`);
      });
    });
}
