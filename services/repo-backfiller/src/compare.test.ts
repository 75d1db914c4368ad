import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compare, type Row } from './compare.ts';

const R = '3m000000000m2';
const OLDER = '3m000000000a2';
const NEWER = '3m000000000z2';

async function* stream(rows: Row[]) {
  for (let at = 0; at < rows.length; at += 3) yield rows.slice(at, at + 3);
}
const recordOf = (path: string, cid: string) => {
  const [collection] = path.split('/') as [string];
  return { path, collection, cid, writeRkey() {}, writeCid() {}, writeJson() {} };
};
const byPath = (a: { path: string }, b: { path: string }) => (a.path < b.path ? -1 : 1);

/** What the comparison finds, as `+path`, `~path`, `-path`, `fresh`. */
async function find(records: [string, string][], rows: Row[], wanted: (c: string) => boolean = () => true) {
  const found: string[] = [];
  await compare({
    records: records.map(([path, cid]) => recordOf(path, cid)).sort(byPath),
    rows: stream(rows.toSorted(byPath)),
    rev: R,
    wanted,
    to: {
      fresh: () => void found.push('fresh'),
      write: (type, { path }) => void found.push(`${type === 'create' ? '+' : '~'}${path}`),
      delete: (path) => void found.push(`-${path}`),
    },
  });
  return found;
}

describe('compare', () => {
  it('says that a repo without rows is fresh, and all its records are creates', async () => {
    expect(
      await find(
        [
          ['a.b.c/1', 'x'],
          ['a.b.c/2', 'y'],
        ],
        [],
      ),
    ).toEqual(['fresh', '+a.b.c/1', '+a.b.c/2']);
    expect(await find([], [])).toEqual(['fresh']);
  });

  it('finds what is new, changed and gone, and mentions nothing else', async () => {
    const rows = [
      { path: 'a.b.c/changed', cid: 'x', rev: OLDER },
      { path: 'a.b.c/gone', cid: 'x', rev: OLDER },
      { path: 'a.b.c/same', cid: 'x', rev: OLDER },
    ];
    const records: [string, string][] = [
      ['a.b.c/changed', 'y'],
      ['a.b.c/new', 'x'],
      ['a.b.c/same', 'x'],
    ];
    expect(await find(records, rows)).toEqual(['~a.b.c/changed', '-a.b.c/gone', '+a.b.c/new']);
  });

  it('leaves newer rows alone, whatever the repo says', async () => {
    const rows = [
      { path: 'a.b.c/1', cid: 'x', rev: NEWER },
      { path: 'a.b.c/2', cid: 'x', rev: NEWER },
    ];
    expect(await find([['a.b.c/1', 'y']], rows)).toEqual([]);
  });

  it('touches nothing of collections that are not wanted', async () => {
    const rows = [{ path: 'other.b.c/gone', cid: 'x', rev: OLDER }];
    const records: [string, string][] = [
      ['a.b.c/1', 'x'],
      ['other.b.c/1', 'x'],
    ];
    expect(await find(records, rows, (c) => c === 'a.b.c')).toEqual(['+a.b.c/1']);
  });

  it('makes any rows equal to any repo', async () => {
    const path = fc.stringMatching(/^[ab]\.[ab]\.c\/[a-c-]{1,2}$/);
    const cid = fc.constantFrom('x', 'y');
    const row = fc.record({ path, cid, rev: fc.constantFrom(OLDER, R, NEWER) });
    const uniq = { selector: (v: { path: string }) => v.path, maxLength: 12 };
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.record({ path, cid }), uniq),
        fc.uniqueArray(row, uniq),
        async (records, had) => {
          const found = await find(
            records.map((r) => [r.path, r.cid] as [string, string]),
            had,
          );
          const table = new Map(had.map((r) => [r.path, r.cid]));
          for (const line of found) {
            if (line === 'fresh') expect(had).toEqual([]);
            else if (line[0] === '-') expect(table.delete(line.slice(1))).toBe(true);
            else {
              expect(table.has(line.slice(1))).toBe(line[0] === '~');
              table.set(line.slice(1), records.find((r) => r.path === line.slice(1))!.cid);
            }
          }
          const newer = had.filter((r) => r.rev === NEWER);
          const wanted = new Map([...records, ...newer].map((r) => [r.path, r.cid]));
          expect(table).toEqual(wanted);
        },
      ),
    );
  });

  it('closes the rows when it fails', async () => {
    let closed = false;
    const rows = {
      [Symbol.asyncIterator]: () => ({
        next: () =>
          Promise.resolve({ done: false as const, value: [{ path: 'a.b.c/0', cid: 'x', rev: OLDER }] }),
        return: () => {
          closed = true;
          return Promise.resolve({ done: true as const, value: undefined });
        },
      }),
    };
    const to = {
      fresh() {},
      write: () => Promise.reject(new Error('full')),
      delete: () => Promise.reject(new Error('full')),
    };
    const run = compare({ records: [recordOf('a.b.c/1', 'x')], rows, rev: R, wanted: () => true, to });
    await expect(run).rejects.toThrow('full');
    expect(closed).toBe(true);
  });
});
