import { keysOf, type Redis } from '@headwater/streams';
import type { Network } from '../simulator/index.ts';

/**
 * Holds the dead letters against the deliberate poison.
 *
 * - `repo_backfill`: exactly the repos that nobody can read
 * - `firehose_backfill`: none
 * - the live streams: frames only, and only those that were spoiled
 */
export async function wrongLetters(redis: Redis, network: Network): Promise<string[]> {
  return [
    ...(await wrongRepos(redis, network)),
    ...(await letters(redis, 'firehose_backfill')).map(
      (letter) => `firehose_backfill: ${JSON.stringify(letter)}`,
    ),
    ...(await wrongFrames(redis, network, 'firehose_live')),
    ...(await wrongFrames(redis, network, 'label_live')),
  ];
}

async function wrongRepos(redis: Redis, network: Network): Promise<string[]> {
  const found = new Map<string, string>();
  for (const letter of await letters(redis, 'repo_backfill')) {
    found.set((JSON.parse(letter['repo']!) as { did: string }).did, letter['reason']!);
  }
  const poisoned = network.world.accounts.filter((account) => account.poisoned && account.active);
  const missing = poisoned.filter(({ did }) => !found.has(did)).map(({ did }) => `no letter of ${did}`);
  const extra = [...found].filter(([did]) => !network.account(did).poisoned);
  return [...missing, ...extra.map(([did, reason]) => `letter of ${did}: ${reason}`)];
}

/**
 * Letters that are entries of the stream (what it held could be read in any
 * case), or frames of which nobody has spoiled anything.
 */
async function wrongFrames(redis: Redis, network: Network, stream: string): Promise<string[]> {
  const isPoison = poisonOf(network);
  return (await letters(redis, stream))
    .filter((letter) => letter['frame'] === undefined || !isPoison(letter))
    .map(({ frame: _, ...letter }) => `${stream}: ${JSON.stringify(letter)}`);
}

/** Whether a frame was spoiled: as such, by its number, or by an odd record of the account that it names. */
function poisonOf({ injected, world }: Network): (letter: Record<string, string>) => boolean {
  const numbers = new Set(injected.flatMap(({ seq }) => (seq === undefined ? [] : [String(seq)])));
  const odd = injected.filter(({ fault }) => fault.startsWith('record-')).map(({ did }) => did!);
  const writers = new Set(odd);
  return ({ frame, source_id }) => {
    const text = Buffer.from(frame!, 'base64').toString('latin1');
    const named = text.match(/did:plc:[a-z2-7]{24}/g) ?? [];
    const accounts = named.filter((did) => world.byDid.has(did));
    return accounts.length === 0 || numbers.has(source_id!) || accounts.some((did) => writers.has(did));
  };
}

async function letters(redis: Redis, stream: string): Promise<Record<string, string>[]> {
  const found = await redis.xrange(keysOf(redis, stream).dead, '-', '+');
  return found.map(([, fields]) => {
    const pairs = fields.flatMap((field, i) => (i % 2 === 0 ? [[field, fields[i + 1]!] as const] : []));
    return Object.fromEntries(pairs);
  });
}
