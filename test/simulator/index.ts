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
 *
 *     await using net = await createNetwork({ seed: 1, repos: 300, hosts: 5, labelers: 1 });
 *     net.plcUrl, net.relayUrl, net.hosts, net.labelerUrls         // for the settings
 *     net.faults.inject({ fault: 'cut-body', did, times: 2 })       // calls: http.ts, cars.ts, documents.ts
 *     net.events.next(did, 'commit-omitted-op')                     // events: commits.ts, disturbance.ts
 *     net.streams.drop({ count: 20 })                               // streams: streams.ts, frames.ts
 *     net.plant(did, 'record-nul')                                  // records: records.ts
 *     net.labelFaults.inject('label-replayed', net.labelers[0])     // labels: labels.ts
 *     await net.run({ operations: 20_000 })                         // live
 *     net.settle()                                                  // faults off, losses given away
 *     net.truth().records(), .actors(), .labels(), .counts()        // what the tables have to say
 *     net.injected                                                  // what struck, and what is expected of it
 *
 * Everything but port numbers is a function of the seed and of the calls made;
 * `faults: 'all'` lets the seed choose what goes wrong.
 */

export type { CarFaultName } from './faults/cars.ts';
export type { CommitFaultName } from './faults/commits.ts';
export type { CallFault } from './faults/faults.ts';
export type { FrameFaultName } from './faults/frames.ts';
export type { LabelFaultName } from './faults/labels.ts';
export type { MixOptions } from './faults/mix.ts';
export type { Fate, RecordFaultName } from './faults/records.ts';
export type { Expectation, Injected } from './faults/registry.ts';
export { createNetwork, Network, type NetworkOptions } from './network.ts';
export { RemoteNetwork, startRemoteNetwork } from './remote.ts';
export type { Account, Status } from './world/account.ts';
export type { TrueCounts } from './world/counts.ts';
export type { UnsignedLabel } from './world/labeler.ts';
export type { Rows, TrueActor, TrueRecord, Truth } from './world/truth.ts';
