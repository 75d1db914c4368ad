/**
 * A simulated network for tests and benchmarks: PLC directory, PDS hosts,
 * relays and labelers on loopback, in one process, from one seed.
 *
 * Owns: accounts and what they write, signed commits, trees, CARs and frames
 * as the real network has them, faults on demand, and the truth: what the
 * tables must say in the end. Refuses to know: anything of the packages under
 * test; what it shows the world is built with other libraries (@atcute/cbor,
 * noble, libsecp256k1) and a tree of its own, and checked against
 * @atproto/repo, @atproto/sync and @ipld in its tests. Keeps nothing on disk
 * and answers for no crash: it is the network, which goes on.
 */

export { createNetwork, Network, type NetworkOptions } from './network.ts';
export type { Account, Status } from './world/account.ts';
export type { TrueCounts } from './world/counts.ts';
export type { Rows, TrueActor, TrueRecord, Truth } from './world/truth.ts';
