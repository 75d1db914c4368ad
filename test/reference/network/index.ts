export { type AccountChange, accountChanges, accountEntries, departed } from './accounts.ts';
export { backfillEntries, liveEntries, type Snapshot, snapshots } from './events.ts';
export { generateNetwork, type NetworkOptions } from './generate.ts';
export { Random } from './random.ts';
export type { Commit, World } from './world.ts';
