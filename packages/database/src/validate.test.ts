import { describe, expect, it } from 'vitest';
import { app, com } from '../../../test/node_modules/@atproto/bsky/dist/lexicons/index.js';
import { cborToLexRecord } from '../../../test/node_modules/@atproto/repo/dist/index.js';
import { recordBytes } from '../../../test/reference/records.ts';
import { samples } from '../testing/samples.ts';
import { cidOf } from '../testing/world.ts';
import { collections } from './collections/index.ts';
import { validateRecord } from './validate.ts';

type Json = Record<string, unknown>;

/** The verdict of the AppView's own indexer. */
function official(nsid: string, record: Json): boolean {
  let at: unknown = { app, com };
  for (const step of nsid.split('.')) at = (at as Json)[step];
  const { main } = at as { main: { check(value: unknown): void } };
  try {
    main.check(cborToLexRecord(recordBytes(record)));
    return true;
  } catch {
    return false;
  }
}

const ours = (nsid: string, record: Json) => validateRecord(collections.get(nsid)!, record);

/** What a field may be replaced by; strings are tried at the edges of what lexicons allow. */
const values: unknown[] = [
  null,
  true,
  0,
  -1,
  1_000_001,
  '',
  'x',
  'x'.repeat(65),
  '😀'.repeat(65),
  '👨‍👩‍👧‍👦'.repeat(64),
  'é'.repeat(301),
  'x'.repeat(3001),
  [],
  ['x'],
  Array(9).fill('x'),
  {},
  { $type: 'com.example.thing' },
  { $type: 7 },
  { $link: cidOf('x') },
  { $bytes: 'AAAA' },
  { $type: 'blob', ref: { $link: cidOf('not raw') }, mimeType: 'image/png', size: 1 },
  { cid: cidOf('x'), mimeType: 'image/png' },
  cidOf('x'),
  `${cidOf('x')}x`,
  'did:plc:short',
  'did:example:123',
  'did:web:x_y',
  'at://did:plc:abc/app.bsky.feed.post/x',
  'at://alice.test/app.bsky.feed.post/x',
  'at://alice.test',
  'at://did:plc:abc/app.bsky.feed.post/x/y',
  'at://did:plc:abc/app.bsky.feed.post/x#frag',
  'https://example.com/',
  'javascript:alert(1)',
  '2026-02-28T23:59:59Z',
  '2026-02-30T00:00:00Z',
  '2026-01-01T00:00:00.123456789Z',
  '2026-01-01T24:00:00Z',
  '2026-01-01T00:00:60Z',
  '2026-01-01T00:00:00+02:00',
  '2026-01-01T00:00:00-00:00',
  '2026-01-01T00:00:00',
  '0000-01-01T00:00:00Z',
  '2026-01-01 00:00:00Z',
  'en-US-x-private',
  'xx-yy-zz-1',
  'alice.test',
  'app.bsky.feed.post',
];

/** Every way to change one place of a record: taken away, replaced, or added to. */
function* mutations(
  record: unknown,
  place: (value: unknown) => unknown = (v) => v,
): Generator<[string, Json]> {
  // A link and bytes are one value: what else stands there is the reader's business, not the lexicon's.
  if (typeof record !== 'object' || record === null || '$link' in record || '$bytes' in record) return;
  const entries = Object.entries(record as Json);
  for (const [key, value] of entries) {
    const put = (next: unknown) =>
      place(Array.isArray(record) ? record.with(Number(key), next) : { ...record, [key]: next });
    const name = (what: unknown) => `${key}: ${JSON.stringify(what)?.slice(0, 60)}`;
    for (const next of values) yield [name(next), put(next) as Json];
    if (!Array.isArray(record)) {
      yield [`${key} missing`, place(Object.fromEntries(entries.filter(([k]) => k !== key))) as Json];
    } else yield [`${key} twice`, place([...record, value]) as Json];
    yield* mutations(value, put);
  }
  if (!Array.isArray(record)) yield ['one more field', place({ ...record, more: 'x' }) as Json];
}

describe('a record is refused exactly when the AppView refuses it', () => {
  const all = [...collections.values()].filter((collection) => !collection.unchecked);

  it('has samples of every collection', () => {
    expect(Object.keys(samples).sort()).toEqual(all.map(({ nsid }) => nsid).sort());
  });

  it.each(Object.keys(samples))('%s', (nsid) => {
    let accepted = 0;
    let refused = 0;
    for (const sample of samples[nsid]!) {
      const record = { $type: nsid, ...sample };
      expect(ours(nsid, record)).toBeNull();
      expect(official(nsid, record)).toBe(true);
      for (const [change, changed] of mutations(record)) {
        const refusal = ours(nsid, changed);
        if (official(nsid, changed) === (refusal === null)) refusal ? refused++ : accepted++;
        else
          expect.unreachable(`${change} of ${JSON.stringify(changed)}: ours says ${JSON.stringify(refusal)}`);
      }
    }
    expect(accepted).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(20);
  });
});
