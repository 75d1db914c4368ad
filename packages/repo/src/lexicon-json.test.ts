import { lexToJson } from '@atproto/lexicon';
import * as reference from '@ipld/dag-cbor';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import * as any from '../testing/arbitraries.ts';
import { decodeCbor } from './cbor.ts';
import { RepoError } from './errors.ts';
import { JsonBytes } from './json-bytes.ts';
import { appendRecord, cborToJson, MAX_RECORD_BYTES, recordToJson } from './lexicon-json.ts';

// A busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 });

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

/**
 * What the reference makes of it, with the keys in the order of the CBOR: an
 * object has those that look like numbers first. As text, since JSON.parse of
 * Node 24 now and then takes an escaped key for an earlier one (nodejs/node#63785).
 */
function referenceJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(referenceJson).join()}]`;
  const isMap = typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
  if (!isMap || value.constructor?.name === 'CID') return JSON.stringify(lexToJson(value as never));
  const entries = Object.entries(value).map(([key, v]) => [Buffer.from(key), v] as const);
  entries.sort(([a], [b]) => a.length - b.length || Buffer.compare(a, b));
  return `{${entries.map(([key, v]) => `${JSON.stringify(`${key}`)}:${referenceJson(v)}`).join()}}`;
}

describe('cborToJson', () => {
  test('is what the reference says, for any value', () => {
    fc.assert(
      fc.property(any.value, (value) => {
        const bytes = Buffer.from(reference.encode(value));
        expect(cborToJson(bytes)).toBe(referenceJson(reference.decode(bytes)));
      }),
      { numRuns: 1500 },
    );
  });

  test('writes text as JSON.stringify does, character by character', () => {
    fc.assert(
      fc.property(any.text, (text) => {
        expect(cborToJson(Buffer.from(reference.encode(text)))).toBe(JSON.stringify(text));
      }),
      { numRuns: 1000 },
    );
  });

  test('writes floats as JavaScript does', () => {
    fc.assert(
      fc.property(fc.double({ noDefaultInfinity: true, noNaN: true }), (number) => {
        const bytes = Buffer.alloc(9, 0xfb);
        bytes.writeDoubleBE(number, 1);
        expect(cborToJson(bytes)).toBe(JSON.stringify(number));
      }),
    );
  });

  test('refuses or says what the reference says, for changed bytes', () => {
    const changed = any.record.chain((value) => any.mutated(reference.encode(value)));
    fc.assert(
      fc.property(changed, (bytes) => {
        let text: string;
        try {
          text = cborToJson(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(RepoError);
          return;
        }
        expect(text).toBe(referenceJson(reference.decode(bytes)));
      }),
      { numRuns: 1500 },
    );
  });

  test('reads a range inside of a larger buffer and nothing beyond it', () => {
    const bytes = hex('ff 82 01 02 03');
    expect(cborToJson(bytes, 1, 4)).toBe('[1,2]');
    expect(() => cborToJson(bytes, 1, 3)).toThrow(RepoError);
    expect(() => cborToJson(bytes, 1, 5)).toThrow(RepoError);
  });

  test('keeps __proto__, NUL and control characters', () => {
    expect(cborToJson(hex('a1 69 5f5f70726f746f5f5f 62 00 1f'))).toBe('{"__proto__":"\\u0000\\u001f"}');
  });

  test('keeps a U+FEFF that a text or a key begins with, which the reference loses', () => {
    const value = { text: '\ufeffa', '\ufefftext': 'a\ufeff' };
    const bytes = Buffer.from(reference.encode(value));
    expect(cborToJson(bytes)).toBe('{"text":"\ufeffa","\ufefftext":"a\ufeff"}');
    expect(decodeCbor(bytes)).toEqual(value);
    expect(reference.decode(reference.encode('\ufeffa'))).toBe('a');
  });

  test('grows for long texts, byte strings and lists, and is right again afterwards', () => {
    const long = 'x\u0001é'.repeat(300_000);
    expect(JSON.parse(cborToJson(Buffer.from(reference.encode(long))))).toBe(long);
    const bytes = Buffer.alloc(1_000_001, 7);
    const base64 = bytes.toString('base64').replace(/=+$/, '');
    expect(cborToJson(Buffer.from(reference.encode(bytes)))).toBe(`{"$bytes":"${base64}"}`);
    const list = Array.from({ length: 200_000 }, () => new Uint8Array());
    expect(cborToJson(Buffer.from(reference.encode(list)))).toBe(
      JSON.stringify(list.map(() => ({ $bytes: '' }))),
    );
    expect(cborToJson(hex('f6'))).toBe('null');
  });
});

describe('recordToJson', () => {
  test('refuses what is not a map', () => {
    for (const bytes of ['01', '80', 'f6', '61 61', '']) {
      expect(() => recordToJson(hex(bytes))).toThrow(RepoError);
    }
    expect(recordToJson(hex('a0'))).toBe('{}');
  });
});

describe('JsonBytes', () => {
  test('puts text, records and CIDs together, and leaves nothing of a record that is refused', () => {
    const bytes = new JsonBytes();
    const good = Buffer.from(reference.encode({ text: 'größe' }));
    for (let round = 0; round < 2; round++) {
      bytes.ascii('[');
      appendRecord(bytes, good);
      const before = bytes.length;
      for (const bad of [
        hex('a1 61 61 61 ff'),
        hex('a1 61 61 f7'),
        hex('01'),
        Buffer.alloc(MAX_RECORD_BYTES + 1),
      ]) {
        expect(() => appendRecord(bytes, bad)).toThrow(RepoError);
        expect(bytes.length).toBe(before);
      }
      bytes.ascii(',"');
      bytes.cid(hex(`01711220 ${'00'.repeat(32)}`), 0);
      bytes.ascii('"]');
      const cid = 'bafyreiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa';
      expect(bytes.takeBytes().toString()).toBe(`[{"text":"größe"},"${cid}"]`);
      expect(bytes.length).toBe(0);
    }
  });
});
