import { hash } from 'node:crypto';
import { p256 } from '@noble/curves/p256';
import { base58btc } from 'multiformats/bases/base58';
import secp256k1 from 'secp256k1';

export type Curve = 'k256' | 'p256';

/** A signing key whose signatures are the same every time (RFC 6979). */
export interface SigningKey {
  curve: Curve;
  secret: Buffer;
  /** What a DID document says under `publicKeyMultibase`. */
  multibase: string;
}

const PREFIX = { k256: [0xe7, 0x01], p256: [0x80, 0x24] } as const;

/** The key that belongs to a text. */
export function deriveKey(curve: Curve, from: string): SigningKey {
  const secret = hash('sha256', `key ${curve} ${from}`, 'buffer');
  const point = curve === 'k256' ? secp256k1.publicKeyCreate(secret) : p256.getPublicKey(secret, true);
  const multibase = base58btc.encode(Uint8Array.of(...PREFIX[curve], ...point));
  return { curve, secret, multibase };
}

export function didKey(key: SigningKey): string {
  return `did:key:${key.multibase}`;
}

/** The compact low-S signature of the message's sha-256. */
export function sign(key: SigningKey, message: Uint8Array): Buffer {
  const digest = hash('sha256', message, 'buffer');
  if (key.curve === 'k256') return Buffer.from(secp256k1.ecdsaSign(digest, key.secret).signature);
  return Buffer.from(p256.sign(digest, key.secret, { lowS: true }).toCompactRawBytes());
}
