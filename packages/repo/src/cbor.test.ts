import * as reference from '@ipld/dag-cbor';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import * as any from '../testing/arbitraries.ts';
import { decodeCbor, MAX_CBOR_DEPTH } from './cbor.ts';
import { Cid } from './cid.ts';
import { RepoError } from './errors.ts';

// A busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 });

/** Our value with CIDs and bytes in the form that the reference's JSON has. */
function comparable(value: unknown): unknown {
  if (value instanceof Cid || value?.constructor?.name === 'CID') return { cid: String(value) };
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value).map(([k, v]) => [k, comparable(v)]);
}

function decodes(bytes: Uint8Array): boolean {
  try {
    decodeCbor(bytes);
    return true;
  } catch (error) {
    if (error instanceof RepoError && error.reason === 'bad-cbor') return false;
    throw error;
  }
}

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('decodeCbor', () => {
  test('gives what the reference gives, for any value', () => {
    fc.assert(
      fc.property(any.value, (value) => {
        const bytes = reference.encode(value);
        expect(comparable(decodeCbor(bytes))).toEqual(comparable(reference.decode(bytes)));
      }),
      { numRuns: 1500 },
    );
  });

  test('accepts changed bytes only where they are the one encoding of what they say', () => {
    let accepted = 0;
    const changed = any.record.chain((value) => any.mutated(reference.encode(value)));
    fc.assert(
      fc.property(changed, (bytes) => {
        if (!decodes(bytes)) return;
        accepted++;
        expect(Buffer.from(reference.encode(reference.decode(bytes)))).toEqual(withoutIntegralFloats(bytes));
      }),
      { numRuns: 3000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });

  test('tells names apart that are alike, and meets them again', () => {
    // Of one length, with the same first, middle and last characters.
    const names = ['a1b1c', 'a2b2c', 'a1b2c', '\u00e91b\u00e9', 'constructor', 'toString', ''];
    for (const name of [...names, ...names, ...names.toReversed()]) {
      expect(decodeCbor(reference.encode({ [name]: 1 }))).toEqual({ [name]: 1 });
    }
  });

  test('keeps __proto__ as a key of its own', () => {
    const value = decodeCbor(hex('a1 69 5f5f70726f746f5f5f a1 61 61 01')) as Record<string, unknown>;
    expect(Object.keys(value)).toEqual(['__proto__']);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  });

  test.each([
    ['nothing', ''],
    ['two values', '01 01'],
    ['an integer in two bytes that fits one', '18 17'],
    ['an integer in three bytes that fits two', '19 00ff'],
    ['an integer in five bytes that fits three', '1a 0000ffff'],
    ['an integer in nine bytes that fits five', '1b 00000000ffffffff'],
    ['2^53', '1b 0020000000000000'],
    ['-2^53', '3b 001fffffffffffff'],
    ['2^64 - 1', '1b ffffffffffffffff'],
    ['an indefinite text', '7f 61 61 ff'],
    ['an indefinite list', '9f 01 ff'],
    ['an indefinite map', 'bf 61 61 01 ff'],
    ['a break', 'ff'],
    ['a reserved head', '1c'],
    ['a half float', 'f9 3c00'],
    ['a single float', 'fa 3f800000'],
    ['NaN', 'fb 7ff8000000000000'],
    ['infinity', 'fb 7ff0000000000000'],
    ['minus infinity', 'fb fff0000000000000'],
    ['undefined', 'f7'],
    ['a simple value', 'f8 20'],
    ['an unassigned simple value', 'e0'],
    ['a cut text', '62 61'],
    ['a cut float', 'fb 0000'],
    ['a list longer than its bytes', '9a ffffffff'],
    ['a map longer than its bytes', 'bb 001fffffffffffff'],
    ['bytes longer than their bytes', '5b 001fffffffffffff'],
    ['a key that is a number', 'a1 01 01'],
    ['the same key twice', 'a2 61 61 01 61 61 02'],
    ['keys not in bytewise order', 'a2 61 62 01 61 61 02'],
    ['a longer key first', 'a2 62 6161 01 61 62 02'],
    ['tag 0', 'c0 74 323031332d30332d32315432303a30343a30305a'],
    ['tag 42 of a text', 'd82a 61 61'],
    ['tag 42 in three bytes', 'd9002a 43 000171'],
    ['a link without its leading zero', 'd82a 42 0171'],
    ['an empty link', 'd82a 40'],
    ['a link of version 0 spelled out', `d82a 5825 00 00711220 ${'00'.repeat(32)}`],
    ['a link with a long varint', `d82a 5826 00 01f1001220 ${'00'.repeat(32)}`],
    ['a link that is no CID', 'd82a 43 00ffff'],
    ['a stray continuation byte', '61 80'],
    ['an overlong slash', '62 c0af'],
    ['a cut sequence', '61 c3'],
    ['a surrogate', '63 eda080'],
    ['above U+10FFFF', '64 f4908080'],
    ['a key that is not UTF-8', 'a1 61 ff 01'],
  ])('refuses %s', (_, bytes) => {
    expect(decodes(hex(bytes))).toBe(false);
  });

  test('nests as deep as it says and no deeper', () => {
    const nested = (depth: number) => Buffer.concat([Buffer.alloc(depth, 0x81), Buffer.from([0])]);
    expect(decodes(nested(MAX_CBOR_DEPTH))).toBe(true);
    expect(decodes(nested(MAX_CBOR_DEPTH + 1))).toBe(false);
    expect(decodes(nested(1_000_000))).toBe(false);
  });
});

/** The reference writes a float of an integral value as an integer; such bytes are no counterexample. */
function withoutIntegralFloats(bytes: Uint8Array): Buffer {
  const again = Buffer.from(reference.encode(reference.decode(bytes)));
  const hasFloat = Buffer.from(bytes).includes(0xfb);
  return hasFloat ? again : Buffer.from(bytes);
}
