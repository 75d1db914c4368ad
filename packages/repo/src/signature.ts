import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto';
import { base58btc } from 'multiformats/bases/base58';
import secp256k1 from 'secp256k1';
import { RepoError } from './errors.ts';

type SigningKey = { curve: 'k256'; point: Uint8Array } | { curve: 'p256'; key: KeyObject };

const PREFIX = 'did:key:';
/** A did:key of a supported curve has 57 characters; base58 costs the square of the length. */
const MAX_KEY_CHARS = 128;
const SIGNATURE_BYTES = 64;
/** SubjectPublicKeyInfo of a compressed P-256 point, up to the point. */
const P256_SPKI = Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex');
/** Half of the order of P-256, rounded down: the largest low s. */
const P256_HALF_ORDER = Buffer.from(
  '7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8',
  'hex',
);
const CACHED_KEYS = 10_000;
const keys = new Map<string, SigningKey>();

/**
 * Whether `sig` is the compact, low-S signature of `bytes` by a did:key of
 * secp256k1 or P-256 (cryptography specification of AT Protocol). DER and
 * high-S forms are not: false. Takes some 65 µs of the calling thread for
 * secp256k1.
 *
 * @throws RepoError `bad-key` where the key can't be used
 */
export function verifySignature(didKey: string, bytes: Uint8Array, sig: Uint8Array): boolean {
  const key = keyOf(didKey);
  if (sig.length !== SIGNATURE_BYTES) return false;
  if (key.curve === 'p256') return verifyP256(key.key, bytes, sig);
  try {
    // libsecp256k1 takes no high-S signature for valid.
    return secp256k1.ecdsaVerify(plain(sig), hash('sha256', bytes, 'buffer'), key.point);
  } catch {
    // Looked at here alone: finding a point on the curve costs a seventh of a verification, which does it too.
    if (!secp256k1.publicKeyVerify(key.point)) unusable(didKey);
    // r or s is not below the order of the curve.
    return false;
  }
}

function verifyP256(key: KeyObject, bytes: Uint8Array, sig: Uint8Array): boolean {
  if (Buffer.compare(sig.subarray(32), P256_HALF_ORDER) > 0) return false;
  return verify('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }, sig);
}

/** The bindings refuse views of a subclass of Uint8Array. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

function keyOf(didKey: string): SigningKey {
  const known = keys.get(didKey);
  if (known !== undefined) return known;
  const key = parseKey(didKey);
  if (keys.size >= CACHED_KEYS) keys.delete(keys.keys().next().value!);
  keys.set(didKey, key);
  return key;
}

function parseKey(didKey: string): SigningKey {
  if (!didKey.startsWith(`${PREFIX}z`) || didKey.length > MAX_KEY_CHARS) unusable(didKey);
  try {
    const bytes = base58btc.decode(didKey.slice(PREFIX.length) as `z${string}`);
    const point = bytes.subarray(2);
    if (bytes.length === 35 && bytes[0] === 0xe7 && bytes[1] === 0x01)
      return { curve: 'k256', point: plain(point) };
    if (bytes.length === 35 && bytes[0] === 0x80 && bytes[1] === 0x24) return p256(point);
  } catch (cause) {
    unusable(didKey, cause);
  }
  return unusable(didKey);
}

function p256(point: Uint8Array): SigningKey {
  const der = Buffer.concat([P256_SPKI, point]);
  return { curve: 'p256', key: createPublicKey({ key: der, format: 'der', type: 'spki' }) };
}

function unusable(didKey: string, cause?: unknown): never {
  throw new RepoError('bad-key', `not a did:key of secp256k1 or P-256: ${didKey.slice(0, MAX_KEY_CHARS)}`, {
    cause,
  });
}
