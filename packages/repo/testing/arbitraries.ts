import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { CID } from 'multiformats/cid';
import * as Digest from 'multiformats/hashes/digest';

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 });

/** Links as records have them: to records and blobs, and now and then of a form of their own. */
export const cid: fc.Arbitrary<CID> = fc.oneof(
  { weight: 6, arbitrary: digest.map((d) => CID.createV1(0x71, Digest.create(0x12, d))) },
  { weight: 3, arbitrary: digest.map((d) => CID.createV1(0x55, Digest.create(0x12, d))) },
  { weight: 1, arbitrary: digest.map((d) => CID.createV0(Digest.create(0x12, d) as never)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        fc.constantFrom(0x70, 0x71, 0x0129),
        fc.constantFrom(0, 0x13, 0xb220),
        fc.uint8Array({ maxLength: 64 }),
      )
      .map(([codec, hash, d]) => CID.createV1(codec, Digest.create(hash, d))),
  },
);

/**
 * The reference loses it where a text begins with it (it decodes with a plain
 * TextDecoder, which takes it for a byte order mark), so it can't be compared.
 */
const BYTE_ORDER_MARK = '\ufeff';

/** Well-formed text with controls, NUL, quotes and every plane. */
export const text: fc.Arbitrary<string> = fc
  .oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc.string({
      unit: fc.constantFrom('a', '"', '\\', '\n', '\0', '\u001f', '\u007f', 'é', '😀'),
      maxLength: 30,
    }),
  )
  .filter((t) => !t.startsWith(BYTE_ORDER_MARK));

const key = fc.oneof(
  { weight: 10, arbitrary: text },
  fc.constantFrom('__proto__', '$type', 'constructor', ''),
);

/** A float that is not an integer: an encoder would write one of those as an integer. */
const fraction = fc.double({ noDefaultInfinity: true, noNaN: true }).filter((n) => !Number.isInteger(n));

const { value: anyValue } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(null, true, false, 0, -1, 23, 24, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32),
    fc.maxSafeInteger(),
    text,
    fraction,
    fc.uint8Array({ maxLength: 50 }),
    cid,
    fc.array(tie('value'), { maxLength: 6 }),
    tie('map'),
  ),
  map: fc.array(fc.tuple(key, tie('value')), { maxLength: 8 }).map(mapOf),
}));

/** Any value of the data model. */
export const value: fc.Arbitrary<unknown> = anyValue;

/** A record: a map of any values. */
export const record: fc.Arbitrary<Record<string, unknown>> = fc
  .array(fc.tuple(key, anyValue), { maxLength: 8 })
  .map(mapOf);

function mapOf(entries: [string, unknown][]): Record<string, unknown> {
  const map = {};
  for (const [name, v] of entries) {
    Object.defineProperty(map, name, { value: v, enumerable: true, writable: true, configurable: true });
  }
  return map;
}

/** Bytes changed in a few places: flipped, cut, doubled, inserted. */
export function mutated(bytes: Uint8Array): fc.Arbitrary<Uint8Array> {
  const change = fc.record({
    kind: fc.constantFrom('flip', 'set', 'cut', 'insert', 'repeat'),
    at: fc.nat({ max: Math.max(0, bytes.length - 1) }),
    byte: fc.nat({ max: 255 }),
  });
  return fc
    .array(change, { minLength: 1, maxLength: 4 })
    .map((changes) => changes.reduce(changed, Buffer.from(bytes)))
    .filter((result) => !result.includes(BYTE_ORDER_MARK));
}

interface Change {
  kind: string;
  at: number;
  byte: number;
}

function changed(bytes: Buffer, { kind, at, byte }: Change): Buffer {
  const head = bytes.subarray(0, at);
  const tail = bytes.subarray(at);
  if (kind === 'cut') return Buffer.from(byte < 128 ? head : Buffer.concat([head, tail.subarray(1)]));
  if (kind === 'insert') return Buffer.concat([head, Buffer.from([byte]), tail]);
  if (kind === 'repeat') return Buffer.concat([head, tail.subarray(0, byte & 15), tail]);
  const copy = Buffer.from(bytes);
  if (at < copy.length) copy[at] = kind === 'set' ? byte : copy[at]! ^ (1 << (byte & 7));
  return copy;
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest();
}
