import type { StreamEvent } from '@headwater/events';
import { Random } from './random.ts';
import type { World } from './world.ts';

/** What a host says of an account at a moment. */
export interface AccountChange {
  did: string;
  time: string;
  active: boolean;
  status?: string;
}

const WORDS = ['active', 'active', 'deactivated', 'suspended', 'takendown', 'throttled', 'desynchronized'];
const DAY_MS = 86_400_000;

/**
 * What became of the accounts of a network, in order of time: two in three are
 * hidden and shown again while they write, one in ten is deleted a day after
 * the last commit. Some of those who are deleted come back on the next day.
 */
export function accountChanges({ commits, dids }: World, seed: number): AccountChange[] {
  const random = new Random(seed + 77);
  const [first, last] = [Date.parse(commits[0]!.time), Date.parse(commits.at(-1)!.time)];
  const at = (ms: number) => new Date(ms + random.below(1_000)).toISOString();
  const changes = dids.flatMap((did, n): AccountChange[] => {
    const times = Array.from({ length: n % 3 === 0 ? 0 : 1 + random.below(4) }, () =>
      at(first + random.below(last - first)),
    );
    const hidden = times.map((time) => changeTo(random.pick(WORDS), did, time));
    const gone = n % 10 === 4 ? [changeTo('deleted', did, at(last + DAY_MS))] : [];
    const back = n === 14 ? [changeTo('active', did, at(last + 2 * DAY_MS))] : [];
    return [...hidden, ...gone, ...back];
  });
  return changes.sort((a, b) => (a.time < b.time ? -1 : 1));
}

function changeTo(word: string, did: string, time: string): AccountChange {
  return word === 'active' ? { did, time, active: true } : { did, time, active: false, status: word };
}

/** Accounts of which the last word is that they were deleted. */
export function departed(changes: readonly AccountChange[]): string[] {
  const last = new Map(changes.map((change) => [change.did, change]));
  return [...last.values()].filter(({ status }) => status === 'deleted').map(({ did }) => did);
}

/** The stream's entries, one a change. */
export function accountEntries(changes: readonly AccountChange[]): StreamEvent[][] {
  return changes.map((change, i) => [{ type: 'account', seq: 1_000_000 + i, ...change }]);
}
