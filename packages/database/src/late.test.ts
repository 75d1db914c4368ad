import type { StreamEvent } from '@headwater/events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { truncateAll } from '../testing/dump.ts';
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

const [ann, bob, cat] = [1, 2, 3].map(didOf) as [string, string, string];
const collection = 'app.bsky.feed.post';
const begin = Date.UTC(2026, 0, 1);
const at = (second: number) => new Date(begin + second * 1000).toISOString();
const uriOf = (did: string, rkey: string) => `at://${did}/${collection}/${rkey}`;

/** Something that happened to a post at a moment; `text` says which version it is. */
function post(
  did: string,
  second: number,
  rkey: string,
  text: string | null,
  more: object = {},
): StreamEvent {
  const rev = revAt(begin + second * 1000);
  const place = { seq: 1, time: at(second), did, commit: cidOf(rev), rev, collection, rkey };
  if (text === null) return { type: 'delete', ...place };
  const record = { $type: collection, text, createdAt: at(second), ...more };
  return { type: 'create', ...place, cid: cidOf(text), record };
}

function permutations<T>(list: readonly T[]): T[][] {
  if (list.length < 2) return [[...list]];
  return list.flatMap((one, i) => permutations(list.toSpliced(i, 1)).map((rest) => [one, ...rest]));
}

const rows = async (sql: string) => (await pool.query(sql)).rows;

describe('whatever the order', () => {
  it('the quotes of the version quoted last are counted, though the edit was never seen', async () => {
    const quote = (did: string, second: number, rkey: string, version: string) => {
      const record = { uri: uriOf(ann, 'a'), cid: cidOf(version) };
      return post(did, second, rkey, rkey, { embed: { $type: 'app.bsky.embed.record', record } });
    };
    const quotes = [quote(bob, 2, 'q', 'first'), quote(bob, 3, 'r', 'second'), quote(cat, 4, 's', 'second')];
    for (const order of permutations([post(ann, 1, 'a', 'second'), ...quotes])) {
      for (const event of order) await applyEvents(pool, [[event]]);
      const told = order.map((event) => 'rkey' in event && event.rkey).join();
      expect([
        told,
        ...(await rows('SELECT "quoteCount"::int AS n FROM post_agg WHERE "quoteCount" > 0')),
      ]).toEqual([told, { n: 2 }]);
      await truncateAll(pool);
    }
  });

  it('a mute of a thread hushes what was told while the post stood in it, not what came after its end', async () => {
    const root = { uri: uriOf(ann, 'root'), cid: cidOf('root') };
    const events = [
      post(ann, 1, 'a', 'in the thread', { reply: { root, parent: root } }),
      post(ann, 5, 'a', null),
      ...[3, 7].map((second) => {
        const record = { uri: uriOf(ann, 'a'), cid: cidOf('in the thread') };
        return post(bob, second, `q${second}`, `q${second}`, {
          embed: { $type: 'app.bsky.embed.record', record },
        });
      }),
    ];
    const [made, ended, , late] = events;
    // Who heard of the post, then of what came after its end, then of its end, told nobody (docs/appview.md).
    const isLost = (order: StreamEvent[]) => {
      const [first, end, after] = [made, ended, late].map((event) => order.indexOf(event!)) as [
        number,
        number,
        number,
      ];
      return first < end && after < end;
    };
    for (const order of permutations(events).filter((one) => !isLost(one))) {
      await pool.query('INSERT INTO thread_mute ("rootUri", "mutedByDid", "createdAt") VALUES ($1, $2, $3)', [
        root.uri,
        ann,
        at(0),
      ]);
      for (const event of order) await applyEvents(pool, [[event]]);
      expect(await rows('SELECT "recordUri" AS uri FROM notification')).toEqual([{ uri: uriOf(bob, 'q7') }]);
      await truncateAll(pool);
    }
  });
});
