import { madeUpDid } from '../protocol/did.ts';
import type { Account, Status } from './account.ts';
import { Feed } from './feed.ts';

/** An account as a host lists it; a host that it has left goes on listing it as deactivated. */
export interface Listing {
  account: Account;
  left: boolean;
}

/** A DID that a host lists though there is no such repo. */
export interface Phantom {
  phantom: string;
}

/** A PDS host: which accounts it has, and its own event stream. */
export class Host {
  readonly index: number;
  readonly name: string;
  readonly feed: Feed;
  /** Origin of its server; set when that listens. */
  url = '';
  readonly listings: (Listing | Phantom)[] = [];
  #byDid = new Map<string, Listing>();

  constructor(index: number, window: number) {
    this.index = index;
    this.name = `pds${index}`;
    this.feed = new Feed({ window, next: 1 });
  }

  /** Fills the host with DIDs that have no repo. */
  haunt(count: number, seed: number): void {
    for (let i = 0; i < count; i++) this.listings.push({ phantom: madeUpDid(`${seed} ${this.name} ${i}`) });
  }

  /** As `listHosts` of a relay has it. */
  get hostname(): string {
    return this.url.replace(/^https?:\/\//, '');
  }

  add(account: Account): void {
    const back = this.#byDid.get(account.did);
    if (back) {
      back.left = false;
      return;
    }
    const listing = { account, left: false };
    this.listings.push(listing);
    this.#byDid.set(account.did, listing);
  }

  leave(account: Account): void {
    const listing = this.#byDid.get(account.did);
    if (listing) listing.left = true;
  }

  /** The listing of a DID, unless the host never had it or its account is deleted. */
  listing(did: string): Listing | undefined {
    const listing = this.#byDid.get(did);
    return listing?.account.status === 'deleted' ? undefined : listing;
  }
}

/** What a host says of one of its accounts. */
export function statusAt({ account, left }: Listing): Status {
  return left ? 'deactivated' : account.status;
}
