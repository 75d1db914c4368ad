import { keysOf, type Redis, readCursor, writeCursor } from '@headwater/streams';
import { CommandError } from '../errors.ts';

const readers: Record<string, string> = {
  firehose_live: 'ingester-firehose',
  label_live: 'ingester-labels',
  repo_backfill: 'ingester-backfill',
};

/**
 * Says how far a host was read.
 *
 * @returns the cursor before; null where there was none
 * @throws CommandError while an ingester reads the host: its next batch would write over it
 */
export async function setCursor(
  redis: Redis,
  { stream, host, to }: { stream: string; host: string; to: string },
): Promise<string | null> {
  if ((await redis.exists(keysOf(redis, stream).beside('lease', host))) === 1) {
    throw new CommandError(
      `An ingester follows ${host} and would write over it: pause ${readers[stream] ?? 'it'} first.`,
    );
  }
  const from = await readCursor(redis, stream, host);
  await writeCursor(redis, stream, host, to);
  return from;
}
