import { keysOf } from '@headwater/streams';
import { expect, it } from 'vitest';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { World } from './world.ts';

/** The whole way of the water over three Redis nodes: every stream's keys share a slot, the streams don't. */
it('a backfill and what happens meanwhile end with the truth on a Redis Cluster', async () => {
  const options = { seed: 7, repos: 40, recordsPerRepo: 20 };
  await using world = await World.create(options, {}, startRedisCluster);
  const slots = await Promise.all(
    ['repo_backfill', 'firehose_backfill', 'firehose_live', 'label_live'].map((stream) =>
      world.redis.cluster('KEYSLOT', keysOf(world.redis, stream).stream),
    ),
  );
  expect(new Set(slots).size).toBe(4);
  world.start();
  await world.network.run({ operations: 600, perSecond: 200 });
  await world.quiet();
  expect(await world.differences()).toEqual([]);
  await world.stop();
});
