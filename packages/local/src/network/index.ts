export { Account, type RecordRef, type Write } from './account.ts';
export { Network, type NetworkOptions, startNetwork } from './network.ts';
