import type { StreamEvent } from '@headwater/events';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { truncateAll } from '../testing/dump.ts';
import { Random } from '../testing/random.ts';
import { cidOf, didOf } from '../testing/world.ts';
import { revAt } from './derived/moment.ts';
import { applyEvents, databasePool, type Pool } from './index.ts';

const database = useDatabase();
let pool: Pool;
beforeAll(() => {
  pool = databasePool({ url: database.url, max: 4, applicationName: 'test' });
});
afterAll(() => pool.end());
afterEach(() => truncateAll(pool));

const dids = [1, 2, 3].map(didOf);
const [ann, bob] = dids as [string, string];
const begin = Date.UTC(2026, 0, 1);
const at = (second: number) => new Date(begin + second * 1000).toISOString();
const [postNsid, threadgateNsid, postgateNsid, followNsid] = [
  ...['app.bsky.feed.post', 'app.bsky.feed.threadgate', 'app.bsky.feed.postgate', 'app.bsky.graph.follow'],
] as [string, string, string, string];
const uriOf = (did: string, rkey: string, nsid = postNsid) => `at://${did}/${nsid}/${rkey}`;
const refTo = (uri: string) => ({ uri, cid: cidOf(uri) });

interface Place {
  did: string;
  rkey: string;
  nsid?: string;
}

/** What happened to a record in a second; null: its deletion. `old`: a whole fetch says so. */
function event(
  { did, rkey, nsid = postNsid }: Place,
  second: number,
  record: object | null,
  { old = false, update = false } = {},
): StreamEvent {
  const rev = revAt(begin + second * 1000);
  const place = { seq: old ? -1 : 1, time: at(second), did, commit: cidOf(rev), rev, collection: nsid, rkey };
  if (record === null) return { type: 'delete', ...place };
  const full = { $type: nsid, createdAt: at(second), ...record };
  const type = update ? 'update' : 'create';
  return { type, ...place, cid: cidOf(JSON.stringify(full)), record: full };
}

/** A few posts that reply to each other and quote each other, their edits, gates and ends, and who follows whom. */
function history(random: Random): StreamEvent[] {
  const rkeys = ['a', 'b', 'c'];
  const anyPost = () => uriOf(random.pick(dids), random.pick(rkeys));
  const all = Array.from({ length: 14 }, (_, i) => {
    const second = i + 1;
    const place = { did: random.pick(dids), rkey: random.pick(rkeys) };
    const how = { old: random.chance(0.7), update: random.chance(0.15) };
    const gate = { post: uriOf(place.did, place.rkey) };
    const gone = random.chance(0.25);
    switch (random.below(8)) {
      case 0: {
        const rules = ['mentionRule', 'followingRule', 'followerRule'].filter(() => random.chance(0.3));
        const allow = rules.map((rule) => ({ $type: `${threadgateNsid}#${rule}` }));
        return event({ ...place, nsid: threadgateNsid }, second, gone ? null : { ...gate, allow }, how);
      }
      case 1: {
        const embeddingRules = [{ $type: `${postgateNsid}#disableRule` }];
        return event(
          { ...place, nsid: postgateNsid },
          second,
          gone ? null : { ...gate, embeddingRules },
          how,
        );
      }
      case 2:
        return event(
          { ...place, nsid: followNsid },
          second,
          gone ? null : { subject: random.pick(dids) },
          how,
        );
      default: {
        const [root, parent] = random.chance(0.5) ? Array(2).fill(anyPost()) : [anyPost(), anyPost()];
        const reply = random.chance(0.7) && { reply: { root: refTo(root), parent: refTo(parent) } };
        const record = refTo(anyPost());
        const embed = random.chance(0.3) && { embed: { $type: 'app.bsky.embed.record', record } };
        return event(place, second, gone ? null : { text: `${second}`, ...reply, ...embed }, how);
      }
    }
  });
  return random.shuffle(all);
}

/** What is judged, and what is counted by it. */
async function verdicts(): Promise<unknown> {
  const { rows } = await pool.query(`SELECT json_build_object(
    'post', (SELECT json_agg(p ORDER BY uri) FROM post p),
    'counts', (SELECT json_agg(c ORDER BY uri) FROM post_agg c),
    'op', (SELECT json_agg(o ORDER BY "rootUri", uri) FROM op_thread_reply o),
    'versions', (SELECT json_agg(v ORDER BY uri, rev) FROM headwater.post_version v)) AS all`);
  return rows[0].all;
}

/** Applies events one after the other, so that each look is by itself. */
async function apply(events: readonly StreamEvent[], backfillNotifications: boolean): Promise<unknown> {
  for (const one of events) await applyEvents(pool, [[structuredClone(one)]], { backfillNotifications });
  const found = await verdicts();
  await truncateAll(pool);
  return found;
}

const first = Number(process.env['TEST_SEED'] ?? 0);

it.each(Array.from({ length: 40 }, (_, i) => first + i))(
  'a glance leaves out only posts that would be judged as they are (seed %i)',
  async (seed) => {
    const events = history(new Random(seed));
    // With news all that a batch concerns is judged.
    expect(await apply(events, false)).toEqual(await apply(events, true));
  },
);

it('a reply is judged by a parent of which only the past is known', async () => {
  const parent = { did: ann, rkey: 'a' };
  const ref = refTo(uriOf(ann, 'a'));
  const reply = event(
    { did: bob, rkey: 'b' },
    2,
    { text: 'b', reply: { root: ref, parent: ref } },
    { old: true },
  );
  for (const one of [reply, event(parent, 3, null), event(parent, 1, { text: 'a' }, { old: true })]) {
    await applyEvents(pool, [[one]]);
  }
  expect((await pool.query('SELECT uri, "invalidReplyRoot" AS invalid FROM post')).rows).toEqual([
    { uri: uriOf(bob, 'b'), invalid: null },
  ]);
});

it('a quote is judged by a gate that comes after it, and was there before it', async () => {
  const record = refTo(uriOf(ann, 'a'));
  const embed = { $type: 'app.bsky.embed.record', record };
  const embeddingRules = [{ $type: `${postgateNsid}#disableRule` }];
  const gate = { post: uriOf(ann, 'a'), embeddingRules };
  const events = [
    event({ did: bob, rkey: 'b' }, 3, { text: 'b', embed }, { old: true }),
    event({ did: ann, rkey: 'a', nsid: postgateNsid }, 2, gate, { old: true }),
  ];
  for (const one of events) await applyEvents(pool, [[one]]);
  expect((await pool.query('SELECT uri, "violatesEmbeddingRules" AS violates FROM post')).rows).toEqual([
    { uri: uriOf(bob, 'b'), violates: true },
  ]);
});

it('a thread whose first post comes last is judged in one look, however deep it is', async () => {
  const rkeys = Array.from({ length: 30 }, (_, n) => `r${n}`);
  const root = refTo(uriOf(ann, 'r0'));
  const posts = rkeys.map((rkey, n) => {
    const reply = n > 0 && { reply: { root, parent: refTo(uriOf(ann, rkeys[n - 1]!)) } };
    return event({ did: ann, rkey }, n + 1, { text: rkey, ...reply }, { old: true });
  });
  await applyEvents(pool, [posts.slice(1)]);
  await applyEvents(pool, [posts.slice(0, 1)]);
  const { rows } = await pool.query(
    'SELECT count(*)::int AS n, count("invalidReplyRoot")::int AS bad FROM post',
  );
  expect(rows).toEqual([{ n: 30, bad: 0 }]);
});
