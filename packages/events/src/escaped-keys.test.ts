import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decodeEvents } from './codec.ts';
import { parseJson } from './escaped-keys.ts';

it('reads a key with an escape as what it is, whatever objects were read before', () => {
  for (const [first, then] of [
    ['\\', '"'],
    ['\\', '\u0001'],
    ['a\\', 'a"'],
  ] as const) {
    parseJson(JSON.stringify({ h: [], [first]: 0 }));
    expect(parseJson(JSON.stringify({ h: 1, [then]: 2 }))).toEqual({ h: 1, [then]: 2 });
  }
});

it("does so with an entry's records", () => {
  const event = (record: object) => ({
    ...{ type: 'create', seq: 1, time: '2026-01-01T00:00:00Z', did: 'did:plc:a', rev: 'r', commit: 'c' },
    ...{ collection: 'a.b.c', rkey: 'k', cid: 'b', record },
  });
  decodeEvents({ event: JSON.stringify(event({ h: [], '\\': 0 })) });
  expect(decodeEvents({ event: JSON.stringify(event({ h: 1, '"': 2 })) })).toEqual([event({ h: 1, '"': 2 })]);
});

/** Few characters, so that keys meet: those that are escaped, those that end strings, and white space. */
const text = fc.string({
  unit: fc.constantFrom('a', '\\', '"', ':', ',', '{', '}', ']', ' ', '\n', '\u0001', '\u2028', 'é'),
});
const tree = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    text,
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(null, true, false, 0, -1, 1e21),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.oneof(text, fc.constantFrom('__proto__', 'constructor', '1')), tie('value'), {
      maxKeys: 4,
    }),
  ),
})).value;

it('gives back any value, in the order of its keys, with any white space', () => {
  fc.assert(
    fc.property(tree, fc.constantFrom(undefined, 1, '\t', ' \r\n'), (value, space) => {
      const json = JSON.stringify(value, null, space);
      expect(JSON.stringify(parseJson(json), null, space)).toBe(json);
    }),
    { numRuns: 2_000 },
  );
});

it('refuses what JSON.parse refuses', () => {
  for (const json of ['', '{', '{"\\n":', '{"\\n" 1}', '["\\x"]', '"\\', '\\']) {
    expect(() => parseJson(json)).toThrow(SyntaxError);
  }
});
