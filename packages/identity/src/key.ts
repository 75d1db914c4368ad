import { base58Decode, base58Encode } from './base58.ts';

/** Multicodec prefixes of the two curves of the AT Protocol. */
const K256 = [0xe7, 0x01];
const P256 = [0x80, 0x24];

/** Key types of DID documents from before `Multikey`: bare key bytes, without a multicodec prefix. */
const LEGACY: Record<string, number[]> = {
  EcdsaSecp256k1VerificationKey2019: K256,
  EcdsaSecp256r1VerificationKey2019: P256,
};

/**
 * A verification method's public key as a did:key with a compressed point of
 * secp256k1 or P-256; undefined for every other curve, form or length.
 */
export function didKeyOf(method: { type?: unknown; publicKeyMultibase?: unknown }): string | undefined {
  const { type, publicKeyMultibase } = method;
  if (typeof publicKeyMultibase !== 'string' || publicKeyMultibase[0] !== 'z') return undefined;
  const bytes = base58Decode(publicKeyMultibase.slice(1));
  if (!bytes) return undefined;
  if (type === 'Multikey') return isUsable(bytes) ? `did:key:${publicKeyMultibase}` : undefined;
  const prefix = typeof type === 'string' && Object.hasOwn(LEGACY, type) ? LEGACY[type] : undefined;
  const point = prefix && compress(bytes);
  return prefix && point ? format(prefix, point) : undefined;
}

function isUsable(multikey: Uint8Array): boolean {
  const isKnown = [K256, P256].some((p) => p[0] === multikey[0] && p[1] === multikey[1]);
  return isKnown && isCompressed(multikey.subarray(2));
}

function isCompressed(point: Uint8Array): boolean {
  return point.length === 33 && (point[0] === 2 || point[0] === 3);
}

/** SEC 1 point to its compressed form. */
function compress(point: Uint8Array): Uint8Array | undefined {
  if (isCompressed(point)) return point;
  if (point.length !== 65 || point[0] !== 4) return undefined;
  return Uint8Array.of(2 + (point[64]! & 1), ...point.subarray(1, 33));
}

function format(prefix: number[], point: Uint8Array): string {
  return `did:key:z${base58Encode(Uint8Array.of(...prefix, ...point))}`;
}
