import { describe, expect, it } from 'vitest';
import { Random } from '../testing/random.ts';
import { fold, type Held, planEntry, type Repo } from './decide.ts';
import type { Entry, Op, Version } from './prepare.ts';
import { add, contains, covers, formatRanges, parseRanges } from './ranges.ts';

const version = (cid: string) => ({ cid }) as Version;
const op = (rev: string, live: boolean, cid: string | null): Op => ({
  uri: 'at://did:plc:a/b/c',
  nsid: 'b',
  did: 'did:plc:a',
  rev,
  live,
  update: false,
  version: cid === null ? null : version(cid),
});
const repo: Repo = {
  did: 'did:plc:a',
  state: 'new',
  floor: null,
  fetch: null,
  parts: null,
  partsDone: [],
  fresh: true,
  fetchCommit: null,
  fetchData: null,
  liveRev: null,
  head: null,
  headData: null,
  links: [],
  gap: false,
  gapReason: null,
  account: null,
  actor: true,
};
const entry = (rest: Partial<Entry>): Entry => ({
  did: repo.did,
  live: true,
  ops: [],
  refused: [],
  drops: [],
  ...rest,
});

describe('operations on one URI', () => {
  it.each(Array.from({ length: 50 }, (_, i) => i))('come out the same in any order (seed %i)', (seed) => {
    const random = new Random(seed);
    // What a commit made of the record depends on its rev alone.
    const at = (n: number) => (n % 3 === 0 ? null : `cid ${n}`);
    const floor = random.below(20);
    const ops = Array.from({ length: 8 }, () => 1 + random.below(30))
      .filter((n) => n > floor)
      .map((n) => op(`r${100 + n}`, true, at(n)));
    if (random.chance(0.7)) ops.push(op(`r${100 + floor}`, false, at(floor)));
    const held: Held | null = random.chance(0.5) ? { rev: `r${100 + floor - 1}`, cid: 'old' } : null;
    const result = (list: Op[]) => {
      const last = fold(held, list);
      return last ? (last.version?.cid ?? null) : (held?.cid ?? null);
    };
    const wanted = result(ops.toSorted((a, b) => (a.rev < b.rev ? -1 : 1)));
    for (let i = 0; i < 10; i++) expect(result(random.shuffle([...ops, ...ops]))).toBe(wanted);
  });

  it('takes a fetch of the same rev for the truth, and says nothing where nothing differs', () => {
    expect(fold({ rev: 'r1', cid: 'x' }, [op('r1', false, 'x')])).toBeNull();
    expect(fold({ rev: 'r1', cid: 'x' }, [op('r1', false, 'y')])).not.toBeNull();
    expect(fold({ rev: 'r1', cid: 'x' }, [op('r1', true, 'y')])).toBeNull();
    expect(fold({ rev: 'r2', cid: 'x' }, [op('r1', false, 'y')])).toBeNull();
    expect(fold({ rev: 'r2', cid: null }, [op('r1', false, 'y')])).toBeNull();
    expect(fold(null, [op('r1', false, null)])).toBeNull();
    expect(fold(null, [op('r1', true, null)])).not.toBeNull();
  });
});

describe('an entry under the state of its repo', () => {
  const commit = (rev: string) => ({ rev, cid: 'c', sync: false, links: {} });
  const fetching = (rest: Partial<Repo> = {}): Repo => ({
    ...repo,
    state: 'fetching',
    floor: 'r5',
    fetch: 'f',
    ...rest,
  });
  const part = (n: number, rest: Partial<Entry> = {}) =>
    entry({
      live: false,
      commit: commit('r5'),
      part: { fetch: 'f', part: n, fresh: true },
      ops: [op('r5', false, 'x')],
      ...rest,
    });

  it('drops live commits at or below the floor, and fetches below it', () => {
    for (const rev of ['r4', 'r5']) {
      const plan = planEntry(fetching(), entry({ commit: commit(rev), ops: [op(rev, true, 'x')] }));
      expect(plan).toMatchObject({ dropped: 'below-floor', ops: [] });
      expect(plan.repo.fresh).toBe(true);
    }
    expect(planEntry(fetching(), entry({ live: false, commit: commit('r4') })).dropped).toBe('older-fetch');
    expect(planEntry(fetching(), entry({ commit: commit('r6') })).dropped).toBeUndefined();
  });

  it('drops what lies below the floor of an entry that also holds newer commits', () => {
    const [old, recent] = [op('r4', true, 'x'), op('r6', true, 'y')];
    const live = planEntry(fetching(), entry({ commit: commit('r6'), ops: [old, recent] }));
    expect(live.ops).toEqual([recent]);
    const [older, newer] = [op('r4', false, 'x'), op('r6', false, 'y')];
    const foreign = planEntry(fetching(), entry({ live: false, commit: commit('r6'), ops: [older, newer] }));
    expect(foreign.ops).toEqual([newer]);
  });

  it('has a repo looked at that says of itself that it begins', () => {
    const first = { rev: 'r1', cid: 'c', sync: false, links: { since: null, prevData: null, data: 'd' } };
    const { repo: begun } = planEntry(repo, entry({ commit: first, ops: [op('r1', true, 'x')] }));
    expect(begun).toMatchObject({ head: 'r1', gap: true, gapReason: 'account' });
    const next = { rev: 'r2', cid: 'c', sync: false, links: { since: 'r1', prevData: 'd', data: 'e' } };
    expect(planEntry(begun, entry({ commit: next })).repo).toMatchObject({ head: 'r2', gap: true });
  });

  it('writes a part without reading only once, and only while nothing else wrote', () => {
    const first = planEntry(fetching(), part(0));
    expect(first).toMatchObject({ direct: true, repo: { fresh: true, partsDone: [[0, 1]] } });
    expect(planEntry(first.repo, part(0))).toMatchObject({ direct: false, repo: { fresh: false } });
    expect(planEntry(first.repo, part(1)).direct).toBe(true);
    const live = planEntry(first.repo, entry({ commit: commit('r6'), ops: [op('r6', true, 'y')] }));
    expect(live.repo.fresh).toBe(false);
    expect(planEntry(live.repo, part(1)).direct).toBe(false);
    const other = part(1, { part: { fetch: 'g', part: 1, fresh: true } });
    expect(planEntry(first.repo, other)).toMatchObject({ direct: false, repo: { fresh: false } });
    expect(planEntry(fetching(), part(0, { part: { fetch: 'f', part: 0, fresh: false } })).direct).toBe(
      false,
    );
  });

  it('is complete when every part is there, the last one first or last', () => {
    const end = part(2, { end: { parts: 3, data: 'd' } });
    for (const order of [
      [part(0), part(1), end],
      [end, part(1), part(0)],
      [part(1), end, part(1), part(0)],
    ]) {
      let state = fetching();
      const states = order.map((one) => {
        state = planEntry(state, one).repo;
        return state.state;
      });
      expect(states.at(-1)).toBe('complete');
      expect(states.indexOf('complete')).toBe(states.length - 1);
      expect(state).toMatchObject({ head: 'r5', headData: 'd' });
    }
  });

  it('keeps the newest account event, whichever comes first', () => {
    const old = { active: false, status: 'deleted', time: 1 };
    const recent = { active: true, status: null, time: 2 };
    for (const order of [
      [old, recent],
      [recent, old],
    ]) {
      const state = order.reduce((r, account) => planEntry(r, entry({ account })).repo, repo);
      expect(state.account).toEqual(recent);
    }
  });
});

it('ranges are read and written as PostgreSQL does', () => {
  expect(parseRanges('{}')).toEqual([]);
  expect(parseRanges('{[0,3),[5,6)}')).toEqual([
    [0, 3],
    [5, 6],
  ]);
  const random = new Random(1);
  const numbers = random.shuffle(Array.from({ length: 50 }, (_, n) => n));
  let ranges = parseRanges('{}');
  const seen = new Set<number>();
  for (const n of numbers) {
    ranges = add(ranges, n);
    seen.add(n);
    for (let i = 0; i < 50; i++) expect(contains(ranges, i)).toBe(seen.has(i));
    expect(parseRanges(formatRanges(ranges))).toEqual(ranges);
    expect(covers(ranges, 50)).toBe(seen.size === 50);
  }
  expect(ranges).toEqual([[0, 50]]);
  expect(covers([], 0)).toBe(true);
});
