import type { Random } from '@headwater/local/random';
import { cidOf, didOf, type NewRecord, type RepoHost } from './repos.ts';

const TIDS = '234567abcdefghijklmnopqrstuvwxyz';

/** A TID of its own for each `n`; growing with it. */
export function tidOf(n: number): string {
  let text = '';
  for (let rest = n; text.length < 11; rest = Math.floor(rest / 32)) text = TIDS[rest % 32] + text;
  return `3k${text}`;
}

/**
 * Fills a host with `count` repos that refer to each other (likes, replies,
 * follows and the rest): most small, every eleventh with `large` posts more.
 *
 * @returns the number of records
 */
export async function addCrowd(host: RepoHost, count: number, random: Random, large = 400): Promise<number> {
  const dids = Array.from({ length: count }, (_, i) => didOf(`crowd-${i}`));
  const posts = dids.map((did, i) => ({ did, records: postsOf(i, i % 11 === 0 ? large : 4, random) }));
  const refs = posts.flatMap(({ did, records }) => records.slice(0, 4).map((record) => refOf(did, record)));
  let total = 0;
  for (const [i, { did, records }] of posts.entries()) {
    const all = [...records, ...societyOf(i, dids, refs, random)];
    total += all.length;
    await host.add(did, all);
  }
  return total;
}

interface Ref {
  uri: string;
  cid: string;
}

function postsOf(repo: number, count: number, random: Random): NewRecord[] {
  return Array.from({ length: count }, (_, i) =>
    record('app.bsky.feed.post', repo * 1000 + i, { text: `post ${random.between(0, 99_999)}` }, random),
  );
}

function societyOf(repo: number, dids: string[], refs: Ref[], random: Random): NewRecord[] {
  let n = repo * 1000 + 600;
  const make = (collection: string, value: Record<string, unknown>) => record(collection, n++, value, random);
  const others = dids.filter((_, i) => i !== repo);
  return [
    { ...make('app.bsky.actor.profile', { displayName: `Repo ${repo}` }), rkey: 'self' },
    ...random.some(others, 4).map((subject) => make('app.bsky.graph.follow', { subject })),
    ...random.some(others, 1).map((subject) => make('app.bsky.graph.block', { subject })),
    ...random.some(refs, 6).map((subject) => make('app.bsky.feed.like', { subject })),
    ...random.some(refs, 2).map((subject) => make('app.bsky.feed.repost', { subject })),
    ...random
      .some(refs, 2)
      .map((to) => make('app.bsky.feed.post', { text: 'reply', reply: { root: to, parent: to } })),
  ];
}

function record(collection: string, n: number, value: Record<string, unknown>, random: Random): NewRecord {
  const createdAt = new Date(Date.UTC(2026, 0, 1) + random.between(0, 10_000_000) * 1000).toISOString();
  return { collection, rkey: tidOf(n), value: { $type: collection, createdAt, ...value } };
}

function refOf(did: string, { collection, rkey, value }: NewRecord): Ref {
  return { uri: `at://${did}/${collection}/${rkey}`, cid: cidOf(value) };
}
