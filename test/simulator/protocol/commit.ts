import { bytes, integer, link, map, NULL, text } from './cbor.ts';
import { type Cid, cidOf } from './cid.ts';
import { type SigningKey, sign } from './keys.ts';

/** A signed commit as a repo holds it. */
export interface Commit {
  did: string;
  rev: string;
  /** Root of the tree. */
  data: Cid;
  cid: Cid;
  block: Buffer;
}

/** Signs a commit of version 3. `forge` replaces the signature of the encoded, unsigned commit. */
export function signCommit(
  fields: { did: string; rev: string; data: Cid },
  key: SigningKey,
  forge: (signature: Buffer) => Buffer = (signature) => signature,
): Commit {
  const { did, rev, data } = fields;
  const unsigned = { did: text(did), rev: text(rev), data: link(data), prev: NULL, version: integer(3) };
  const signature = forge(sign(key, map(unsigned)));
  const block = map({ ...unsigned, sig: bytes(signature) });
  return { did, rev, data, cid: cidOf(block), block };
}
