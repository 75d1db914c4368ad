import { p256 } from '@noble/curves/p256';
import { secp256k1 } from '@noble/curves/secp256k1';
import type { Curve } from '../protocol/keys.ts';

/** The other signature that verifies as well, which the AT Protocol refuses. */
export function highSignature(curve: Curve): (signature: Buffer) => Buffer {
  const { n } = (curve === 'k256' ? secp256k1 : p256).CURVE;
  return (signature) => {
    const s = n - BigInt(`0x${signature.toString('hex', 32)}`);
    return Buffer.concat([signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')]);
  };
}

/** The same signature in ASN.1. */
export function derSignature(signature: Buffer): Buffer {
  const parts = [signature.subarray(0, 32), signature.subarray(32)].map((number) => {
    const start = number.findIndex((byte) => byte !== 0);
    const bytes = number.subarray(start);
    const padded = bytes[0]! > 127 ? Buffer.concat([Buffer.of(0), bytes]) : bytes;
    return Buffer.concat([Buffer.of(0x02, padded.length), padded]);
  });
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(0x30, body.length), body]);
}
