export { Account, createAccount, login, type RecordRef, type Write } from './account.ts';
export { Network, type NetworkOptions, startNetwork } from './network.ts';
export { Random } from './random.ts';
export { tellPast, tellPresent } from './story.ts';
