import { describe, expect, it } from 'vitest';
import { Random } from '../testing/random.ts';
import { addCommit, addFetch, addSync, type Chain, type Link, maxLinks } from './chain.ts';

const empty: Chain = { head: null, headData: null, links: [] };

/** Commits `a` to `z`: each names the one before. */
function commits(count: number, first: string | null = null): Required<Omit<Link, 'joined' | 'sync'>>[] {
  return Array.from({ length: count }, (_, n) => ({
    since: n === 0 ? first : name(n - 1),
    prevData: n === 0 ? first && `data ${first}` : `data ${name(n - 1)}`,
    rev: name(n),
    data: `data ${name(n)}`,
    broken: false,
  }));
}
const name = (n: number) => `r${String(n).padStart(4, '0')}`;
const add = (chain: Chain, list: readonly Link[]) => list.reduce((c, one) => addCommit(c, one).chain, chain);

describe('the chain of commits', () => {
  it.each(Array.from({ length: 30 }, (_, i) => i))(
    'is whole in whatever order they come (seed %i)',
    (seed) => {
      const random = new Random(seed);
      const all = commits(2 + random.below(40));
      const some = Array.from({ length: random.below(20) }, () => random.pick(all));
      const chain = add(empty, random.shuffle([...all, ...some]));
      expect(chain).toEqual({ head: all.at(-1)!.rev, headData: all.at(-1)!.data, links: [] });
    },
  );

  it.each(Array.from({ length: 30 }, (_, i) => i))(
    'shows what is missing until a fetch has it (seed %i)',
    (seed) => {
      const random = new Random(seed);
      const all = commits(10);
      const missing = 1 + random.below(8);
      const chain = add(empty, random.shuffle(all.filter((_, n) => n !== missing)));
      expect(chain.head).toBe(name(missing - 1));
      expect(chain.links).toEqual(
        [
          {
            ...all[missing + 1],
            rev: name(9),
            data: `data ${name(9)}`,
            broken: undefined,
            prevData: expect.anything(),
          },
        ].map((link) => expect.objectContaining({ since: link.since, rev: link.rev, data: link.data })),
      );
      for (let n = missing; n < 10; n++) {
        expect(addFetch(chain, name(n), `data ${name(n)}`)).toEqual({
          head: name(9),
          headData: `data ${name(9)}`,
          links: [],
        });
      }
    },
  );

  it('joins a fetch with a run of live commits that began before it', () => {
    const all = commits(6, 'r');
    const live = add(empty, all);
    expect(live).toMatchObject({ head: null, links: [{ since: 'r', rev: name(5) }] });
    expect(addFetch(live, name(2), `data ${name(2)}`)).toMatchObject({ head: name(5), links: [] });
    expect(addFetch(live, 'q', null)).toMatchObject({ head: 'q', links: [{ rev: name(5) }] });
  });

  it('is not fooled by a commit whose prevData is not ours', () => {
    const [a, b] = commits(2);
    const { chain, outcome } = addCommit(add(empty, [a!]), { ...b!, prevData: 'other' });
    expect(outcome).toBe('broken');
    expect(chain).toMatchObject({ head: name(0), links: [{ rev: name(1), broken: true }] });
    expect(addFetch(chain, name(0), 'other').links).toHaveLength(1);
    expect(addFetch(chain, name(1), 'x')).toMatchObject({ head: name(1), links: [] });
  });

  it('takes a commit that goes on from below the head for another history', () => {
    const [, b, c] = commits(3);
    const chain = add(empty, commits(3));
    // The host was set back to `b` and has gone on from there.
    const fork = { since: b!.rev, prevData: b!.data, rev: name(7), data: 'fork' };
    const { chain: broken, outcome } = addCommit(chain, fork);
    expect(outcome).toBe('broken');
    expect(add(broken, [{ since: name(7), prevData: 'fork', rev: name(8), data: 'd8' }]).head).toBe(c!.rev);
    expect(addFetch(broken, name(7), 'fork')).toMatchObject({ head: name(7), links: [] });
    // The same tree is the same history, whatever revs lie between.
    expect(addCommit(chain, { ...fork, prevData: c!.data }).outcome).toBe('extended');
    expect(addCommit(chain, { ...fork, prevData: null }).outcome).toBe('broken');
  });

  it('takes a second first commit for a contradiction', () => {
    const chain = add(empty, commits(3));
    expect(addCommit(chain, { since: null, prevData: null, rev: name(7), data: 'd' }).outcome).toBe('broken');
  });

  it('follows producers that do not say what came before', () => {
    const chain = addFetch(empty, name(1), null);
    expect(add(chain, [{ rev: name(4) }, { rev: name(3) }])).toMatchObject({ head: name(4), links: [] });
    expect(add(empty, [{ rev: name(4) }, { rev: name(3) }]).head).toBeNull();
  });

  it('believes a #sync that states what we hold, and no other', () => {
    const chain = add(empty, commits(3));
    expect(addSync(chain, { rev: name(5), data: `data ${name(2)}` })).toMatchObject({
      outcome: 'extended',
      chain: { head: name(5), links: [] },
    });
    const other = addSync(chain, { rev: name(5), data: `data ${name(4)}` });
    expect(other).toMatchObject({ outcome: 'pending', chain: { head: name(2), links: [{ sync: true }] } });
    // What led there was only late; or a fetch brings it.
    expect(add(other.chain, commits(5).slice(3).reverse())).toMatchObject({ head: name(5), links: [] });
    expect(addFetch(other.chain, name(4), `data ${name(4)}`)).toMatchObject({ head: name(5), links: [] });
    expect(addFetch(other.chain, name(5), 'x')).toMatchObject({ head: name(5), links: [] });
    expect(addSync(chain, { rev: name(1), data: 'other' }).outcome).toBe('replay');
    expect(addSync(chain, { rev: name(2), data: 'other' }).outcome).toBe('broken');
    expect(addSync(chain, { rev: name(2), data: `data ${name(2)}` }).outcome).toBe('replay');
  });

  it('keeps a bounded number of links', () => {
    const links = Array.from({ length: 500 }, (_, n) => ({ since: name(2 * n + 1), rev: name(2 * n + 2) }));
    const chain = add(addFetch(empty, name(0), null), links);
    expect(chain.links).toHaveLength(maxLinks);
    expect(chain.links.at(-1)).toMatchObject({ rev: name(1000) });
  });
});
