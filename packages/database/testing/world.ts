import type { StreamEvent } from '@headwater/events';
import { cborCid } from '../../../test/reference/records.ts';
import type { Random } from './random.ts';

/** A record of the world: what the repo holds at a path. */
export interface Held {
  cid: string;
  record: Record<string, unknown>;
}

/** A repo with its whole history: every commit as a live entry, and what it held after each. */
export interface Repo {
  did: string;
  /** One live entry a commit, in order. */
  commits: StreamEvent[][];
  /** State after each commit, by rev. */
  states: { rev: string; data: string; records: Map<string, Held> }[];
}

const epoch = Date.UTC(2026, 0, 1);
const digits = '234567abcdefghijklmnopqrstuvwxyz';

/** The nth TID. */
export function tid(n: number): string {
  let text = '';
  for (let i = 0; i < 12; i++) {
    text = digits[n % 32] + text;
    n = Math.floor(n / 32);
  }
  return `3${text}`;
}

export function cidOf(text: string): string {
  return cborCid(new TextEncoder().encode(text));
}

export function didOf(n: number): string {
  return `did:plc:${'a'.repeat(20)}${String(n)
    .padStart(4, '0')
    .replace(/[01]/g, (c) => 'ab'[Number(c)]!)}`;
}

/** Posts and accounts outside the world: their deletion plays no part. */
export const posts = [0, 1, 2].map((n) => ({
  uri: `at://did:plc:zzzzzzzzzzzzzzzzzzzzzzz${n + 2}/app.bsky.feed.post/${tid(n)}`,
  cid: cidOf(`post ${n}`),
}));
const accounts = [2, 3, 4].map((n) => `did:plc:yyyyyyyyyyyyyyyyyyyyyyy${n}`);

type Make = (random: Random, createdAt: string) => Record<string, unknown>;

const makers: Record<string, Make> = {
  'app.bsky.feed.like': (random, createdAt) => ({ subject: random.pick(posts), createdAt }),
  'app.bsky.feed.repost': (random, createdAt) => ({ subject: random.pick(posts), createdAt }),
  'app.bsky.graph.follow': (random, createdAt) => ({ subject: random.pick(accounts), createdAt }),
  'app.bsky.graph.block': (random, createdAt) => ({ subject: random.pick(accounts), createdAt }),
  'app.bsky.actor.profile': (random, createdAt) => ({ displayName: `name ${random.below(1000)}`, createdAt }),
  'app.bsky.feed.post': (random, createdAt) => {
    const parent = random.pick(posts);
    return {
      text: random.pick(['hello', 'a\tb\\N', 'nul \0 here', `${random.below(1e6)} 😀`]),
      createdAt,
      ...(random.chance(0.5) && { reply: { root: parent, parent } }),
      ...(random.chance(0.3) && { langs: ['en'] }),
    };
  },
};
const collections = Object.keys(makers);

/** A repo of `commits` commits, each of a few operations on few paths, so that they meet again and again. */
export function makeRepo(random: Random, did: string, commits: number): Repo {
  const repo: Repo = { did, commits: [], states: [] };
  const now = new Map<string, Held>();
  let before: { rev: string; data: string } | undefined;
  for (let n = 0; n < commits; n++) {
    const rev = tid(1_000_000 + n * 10 + random.below(10));
    const time = new Date(epoch + n * 60_000).toISOString();
    const events = makeCommit(random, { did, rev, time }, now);
    const data = cidOf(JSON.stringify([...now]));
    Object.assign(events[0]!, { since: before?.rev ?? null, prevData: before?.data ?? null, data });
    before = { rev, data };
    repo.commits.push(events);
    repo.states.push({ rev, data, records: new Map(now) });
  }
  return repo;
}

function makeCommit(
  random: Random,
  at: { did: string; rev: string; time: string },
  now: Map<string, Held>,
): StreamEvent[] {
  const envelope = { seq: 1, commit: cidOf(at.rev), ...at };
  const events: StreamEvent[] = [];
  const touched = new Set<string>();
  for (let i = random.below(4); i >= 0; i--) {
    const collection = random.pick(collections);
    const rkey = collection === 'app.bsky.actor.profile' ? 'self' : tid(random.below(5));
    const path = `${collection}/${rkey}`;
    if (touched.has(path)) continue;
    touched.add(path);
    if (now.has(path) && random.chance(0.4)) {
      now.delete(path);
      events.push({ type: 'delete', ...envelope, collection, rkey });
      continue;
    }
    const createdAt = new Date(epoch - random.below(1000) * 1000).toISOString();
    const record = { $type: collection, ...makers[collection]!(random, createdAt) };
    const cid = cidOf(JSON.stringify(record));
    const type = now.has(path) ? 'update' : 'create';
    now.set(path, { cid, record });
    events.push({ type, ...envelope, collection, rkey, cid, record });
  }
  return events.length > 0 ? events : [{ type: 'repo', ...envelope }];
}

/** What a whole fetch sends: the difference of a state and rows, in parts. */
export function fetchParts(
  random: Random,
  repo: Repo,
  state: Repo['states'][number],
  rows: Map<string, string>,
  fetch: string,
): StreamEvent[][] {
  const { did } = repo;
  const envelope = { seq: -1, time: new Date(epoch + 1e9).toISOString(), did, rev: state.rev };
  const commit = cidOf(state.rev);
  const events: StreamEvent[] = [];
  for (const [path, { cid, record }] of state.records) {
    const [collection, rkey] = path.split('/') as [string, string];
    const type = rows.has(path) ? 'update' : 'create';
    if (rows.get(path) !== cid) events.push({ type, ...envelope, commit, collection, rkey, cid, record });
  }
  for (const path of rows.keys()) {
    const [collection, rkey] = path.split('/') as [string, string];
    if (!state.records.has(path)) events.push({ type: 'delete', ...envelope, commit, collection, rkey });
  }
  const parts: StreamEvent[][] = [];
  for (let i = 0; i < events.length; ) {
    const size = 1 + random.below(6);
    parts.push(events.slice(i, i + size));
    i += size;
  }
  if (parts.length === 0 || random.chance(0.3)) parts.push([]);
  parts.at(-1)!.push({ type: 'repo', ...envelope, commit, parts: parts.length, data: state.data });
  const fresh = rows.size === 0;
  for (const [i, part] of parts.entries()) {
    Object.assign(part[0]!, { fetch, part: i, ...(fresh && { fresh }) });
  }
  return parts;
}
