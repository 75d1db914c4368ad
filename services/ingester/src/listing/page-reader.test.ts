import { createLogger } from '@headwater/ops';
import { type RepoPage, XrpcError } from '@headwater/xrpc';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EnumerationStuckError, PageReader } from './page-reader.ts';
import { type SkippedRange, skipAhead } from './skip.ts';

const log = createLogger('test', 'silent');
const never = new AbortController().signal;
type Read = (cursor: string | undefined, limit: number) => Promise<RepoPage>;

function reader(read: Read, maxLimit = 1000): PageReader {
  return new PageReader({ read, log, onError: () => {}, maxLimit, baseMs: 0, maxMs: 0 });
}

/** A relay with repos 1…count whose pages fail when they touch a bad one; cursors are the last number given. */
function relay(count: number, bad: ReadonlySet<number>, lastPageHasCursor: boolean) {
  const asked: [number, number][] = [];
  const read: Read = async (cursor, limit) => {
    const from = Number(cursor ?? 0);
    asked.push([from, limit]);
    const ids = Array.from({ length: Math.max(0, Math.min(limit, count - from)) }, (_, i) => from + i + 1);
    if (ids.some((id) => bad.has(id))) throw new XrpcError('http', 'broken', { status: 500 });
    const repos = ids.map((id) => ({ did: `did:plc:${id}`, head: '', rev: '', active: true }));
    const more = lastPageHasCursor ? ids.length > 0 : from + limit < count;
    return { repos, unusable: 0, ...(more && { cursor: String(from + ids.length) }) };
  };
  return { read, asked };
}

async function listAll(pages: PageReader) {
  const ids: number[] = [];
  const skipped: SkippedRange[] = [];
  for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
    const read = await pages.next(cursor, never);
    if (read.skipped) skipped.push(read.skipped);
    ids.push(...read.page.repos.map(({ did }) => Number(did.slice(8))));
    cursor = read.page.cursor;
  }
  return { ids, skipped };
}

describe('PageReader', () => {
  it('narrows down to the one bad repo and skips it alone', async () => {
    const { read, asked } = relay(5000, new Set([1234]), false);
    const { ids, skipped } = await listAll(reader(read));
    expect(ids).toEqual(Array.from({ length: 5000 }, (_, i) => i + 1).filter((id) => id !== 1234));
    expect(skipped).toMatchObject([{ from: '1233', to: '1234', kind: 'http' }]);
    expect(asked.length).toBeLessThan(100);
  });

  it('tries five times with a full page before it narrows', async () => {
    const { read, asked } = relay(2000, new Set([7]), false);
    await reader(read).next('0', never);
    expect(asked.filter(([from, limit]) => from === 0 && limit === 1000)).toHaveLength(5);
  });

  it('lists every good repo outside of what it says it skipped', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 400 }),
        fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 8 }),
        fc.integer({ min: 1, max: 64 }),
        fc.boolean(),
        async (count, badIds, limit, lastPageHasCursor) => {
          const bad = new Set(badIds);
          const { read } = relay(count, bad, lastPageHasCursor);
          const { ids, skipped } = await listAll(reader(read, limit));
          const covered = (id: number) =>
            skipped.some(({ from, to }) => id > Number(from ?? 0) && id <= Number(to));
          for (let id = 1; id <= count; id++) {
            if (bad.has(id)) expect(covered(id)).toBe(true);
            else if (!covered(id)) expect(ids).toContain(id);
          }
          expect(new Set(ids).size).toBe(ids.length);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('skips at the very start too', async () => {
    const { read } = relay(20, new Set([1]), false);
    const { ids, skipped } = await listAll(reader(read));
    expect(ids).toEqual(Array.from({ length: 19 }, (_, i) => i + 2));
    expect(skipped).toMatchObject([{ to: '1' }]);
  });

  it('never skips while the host as a whole is down', async () => {
    let down = 40;
    const { read } = relay(3000, new Set(), false);
    const failing: Read = async (cursor, limit) => {
      if (down-- > 0) throw new XrpcError(cursor ? 'http' : 'network', 'down', cursor ? { status: 502 } : {});
      return read(cursor, limit);
    };
    const { page, skipped } = await reader(failing).next('1000', never);
    expect([skipped, page.repos.length]).toEqual([undefined, 1000]);
  });

  it('waits when told to, without counting it', async () => {
    let told = 30;
    const { read, asked } = relay(3000, new Set(), false);
    const busy: Read = async (cursor, limit) => {
      if (told-- > 0) throw new XrpcError('rate-limited', 'slow down', { status: 429, retryAfterMs: 0 });
      return read(cursor, limit);
    };
    const { page } = await reader(busy).next(undefined, never);
    expect(page.repos.length).toBe(1000);
    expect(asked).toEqual([[0, 1000]]);
  });

  it('says where it is stuck when the cursor can not be skipped', async () => {
    const opaque: Read = async (cursor) => {
      if (cursor === undefined) return { repos: [], unusable: 0, cursor: 'bafyOpaque' };
      throw new XrpcError('http', 'broken', { status: 500 });
    };
    const err = await reader(opaque)
      .next('bafyOpaque', never)
      .catch((e: unknown) => e);
    expect(err).toBeInstanceOf(EnumerationStuckError);
    expect((err as EnumerationStuckError).range).toMatchObject({
      from: 'bafyOpaque',
      to: undefined,
      kind: 'http',
    });
  });

  it('gives up at once where the host has no such method', async () => {
    let asked = 0;
    const missing: Read = async () => {
      asked++;
      throw new XrpcError('http', 'no', { status: 501, errorName: 'MethodNotImplemented' });
    };
    await expect(reader(missing).next(undefined, never)).rejects.toThrow(EnumerationStuckError);
    expect(asked).toBe(1);
  });

  it('ends with the signal while it waits', async () => {
    const stop = new AbortController();
    const busy: Read = async () => {
      // When what follows has run, which is the wait.
      setImmediate(() => stop.abort(new RangeError('stop')));
      throw new XrpcError('rate-limited', 'slow down', { status: 429, retryAfterMs: 3_600_000 });
    };
    await expect(reader(busy).next(undefined, stop.signal)).rejects.toThrow(RangeError);
  });
});

describe('skipAhead', () => {
  const now = 2_000_000;
  it.each([
    ['41', 1, '42'],
    [undefined, 3, '3'],
    ['99999999999999999', 1, '100000000000000000'],
    ['41', 65_537, undefined],
    ['1000000::did:plc:x', 7, '1000007::did'],
    ['1939999::did:plc:x', 7, undefined],
    ['did:plc:x', 1, undefined],
    ['', 1, undefined],
  ])('%s and %i more is %s', (cursor, steps, to) => {
    expect(skipAhead(cursor, steps, now)).toBe(to);
  });
});
