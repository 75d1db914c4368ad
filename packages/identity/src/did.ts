import { IdentityError } from './errors.ts';

const PLC = /^did:plc:[a-z2-7]{24}$/;
const WEB =
  /^did:web:((?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)*[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)(?:%3[aA]([0-9]{1,5}))?$/;

/** A DID of one of the two methods that the AT Protocol blesses. */
export type Did = { method: 'plc' } | { method: 'web'; host: string; port: string | undefined };

/**
 * Takes a DID apart by the AT Protocol's rules: did:plc, or did:web of a bare
 * host. A port is part of the grammar here; whether it is allowed is the
 * source's to say (only of development hosts).
 *
 * @throws IdentityError `bad-did`
 */
export function parseDid(did: string): Did {
  if (PLC.test(did)) return { method: 'plc' };
  const web = did.length <= 2048 ? WEB.exec(did) : null;
  if (web) return { method: 'web', host: web[1]!.toLowerCase(), port: web[2] };
  throw new IdentityError('bad-did', did.slice(0, 100), 'neither a did:plc nor a did:web of a bare host');
}
