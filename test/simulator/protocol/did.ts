import { hash } from 'node:crypto';
import { base32 } from './cid.ts';

/** The did:plc that belongs to a text. */
export function plcDid(name: string): string {
  return `did:plc:${base32(hash('sha256', name, 'buffer')).slice(0, 24)}`;
}

/** A DID that nobody has. */
export function madeUpDid(name: string): string {
  return plcDid(`nobody ${name}`);
}
