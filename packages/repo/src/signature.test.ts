import { generateKeyPairSync, sign } from 'node:crypto';
import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto';
import { base58btc } from 'multiformats/bases/base58';
import { describe, expect, test } from 'vitest';
import { verifySignature } from './signature.ts';

const ORDERS = {
  k256: 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n,
  p256: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
};
const bytes = Buffer.from('what is signed');
const number = (b: Uint8Array) => BigInt(`0x${Buffer.from(b).toString('hex')}`);
const half = (n: bigint) => Buffer.from(n.toString(16).padStart(64, '0'), 'hex');

describe.each([
  ['k256', Secp256k1Keypair],
  ['p256', P256Keypair],
] as const)('a signature of %s', (curve, Keypair) => {
  test('of the reference is valid, for its own key and bytes alone', async () => {
    const other = await Keypair.create();
    for (let i = 0; i < 20; i++) {
      const keypair = await Keypair.create();
      const sig = await keypair.sign(bytes);
      expect(verifySignature(keypair.did(), bytes, sig)).toBe(true);
      expect(verifySignature(keypair.did(), Buffer.from(sig.map((b) => b)), sig)).toBe(false);
      expect(verifySignature(other.did(), bytes, sig)).toBe(false);
      const flipped = Buffer.from(sig);
      flipped[i * 3]! ^= 1;
      expect(verifySignature(keypair.did(), bytes, flipped)).toBe(false);
    }
  });

  test('with a high s, with r or s out of range, in DER or of another length is not', async () => {
    const keypair = await Keypair.create();
    const sig = await keypair.sign(bytes);
    const r = sig.subarray(0, 32);
    const highS = half(ORDERS[curve] - number(sig.subarray(32)));
    const zero = Buffer.alloc(32);
    const order = half(ORDERS[curve]);
    const s = sig.subarray(32);
    for (const parts of [
      [r, highS],
      [r, zero],
      [zero, s],
      [zero, zero],
      [r, order],
      [order, s],
      [r],
      [sig, zero],
      [],
    ]) {
      expect(verifySignature(keypair.did(), bytes, Buffer.concat(parts))).toBe(false);
    }
    expect(verifySignature(keypair.did(), bytes, Buffer.alloc(64, 0xff))).toBe(false);
  });
});

test('a signature of node:crypto in DER is refused', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
  const der = sign('sha256', bytes, privateKey);
  expect(verifySignature('did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme', bytes, der)).toBe(
    false,
  );
});

/** did:key of a point with this x, on the curve or not. */
function keyAtX(prefix: string, x: number): string {
  const multibase = base58btc.encode(Buffer.from(`${prefix}02${x.toString(16).padStart(64, '0')}`, 'hex'));
  return `did:key:${multibase}`;
}

test.each([
  ['another DID', 'did:plc:ragtjsm2j2vknwkz3zp4oxrd'],
  ['no key', 'did:key:'],
  ['an empty key', 'did:key:z'],
  ['what is not base58', 'did:key:zInvalid0OIl'],
  ['another multibase', 'did:key:f0123'],
  ['a key of Ed25519', 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'],
  ['an endless text', `did:key:z${'2'.repeat(100_000)}`],
  ['a point that is not on the curve (k256)', keyAtX('e701', 5)],
  ['a point that is not on the curve (p256)', keyAtX('8024', 1)],
])('%s is refused as a key', (_, key) => {
  expect(() => verifySignature(key, bytes, Buffer.alloc(64))).toThrow(
    expect.objectContaining({ name: 'RepoError', reason: 'bad-key' }),
  );
});
