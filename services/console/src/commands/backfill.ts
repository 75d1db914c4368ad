import { encodeRepoJob } from '@headwater/events';
import { keysOf, Producer } from '@headwater/streams';
import type { Command } from 'commander';
import { CommandError } from '../errors.ts';
import { withRedis } from '../open.ts';

interface Options {
  did: string[];
  force?: boolean;
  dryRun?: boolean;
}

/** `headwater backfill`: have repos looked at now, ahead of the enumeration. */
export function addBackfill(program: Command): void {
  program
    .command('backfill')
    .description('have repos fetched ahead of all others')
    .requiredOption('--did <did...>', 'repos to fetch')
    .option('--force', 'compare again also where the stored rev is as new')
    .option('--dry-run', 'only say what would be done')
    .action(backfill);
}

async function backfill({ did: dids, force, dryRun }: Options): Promise<void> {
  const wrong = dids.find((did) => !/^did:(plc|web):./.test(did));
  if (wrong !== undefined) throw new CommandError(`${wrong} is not a DID (did:plc:… or did:web:…)`);
  await withRedis(async (redis) => {
    const { urgent } = keysOf(redis, 'repo_backfill');
    const jobs = dids.map((did) =>
      encodeRepoJob({
        did,
        host: '',
        rev: '',
        active: true,
        reason: 'operator',
        ...(force ? { force } : {}),
      }),
    );
    if (!dryRun) await new Producer(redis, urgent, {}).append(jobs);
    console.log(`${dids.length} repos ${dryRun ? 'would be' : ''} put into ${urgent}`.replace('  ', ' '));
  });
}
