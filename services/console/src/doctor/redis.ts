import { ofEachMaster, type Redis } from '@headwater/streams';
import { redisView } from '../page/storage.ts';
import { size } from '../table.ts';
import { clockFinding } from './clock.ts';
import { error, type Finding, ok, warning } from './finding.ts';

/** Share of `maxmemory` above which producers of some streams already wait. */
const fullShare = 0.85;

/** Version, durability, memory and clock of a Redis that answers. */
export async function redisFindings(redis: Redis, now: () => number): Promise<Finding[]> {
  const nodes = await ofEachMaster(redis, infoOf);
  // Of a cluster the node that is worst off.
  const old = nodes.find((info) => versionFinding(info).level !== 'ok') ?? nodes[0]!;
  const evicting = nodes.find((info) => policyFinding(info).level !== 'ok') ?? nodes[0]!;
  const ahead = await ofEachMaster(redis, (node) => aheadBy(node, now));
  return [
    versionFinding(old),
    policyFinding(evicting),
    ...(await storeFindings(redis)),
    clockFinding(
      'Redis',
      ahead.reduce((a, b) => (Math.abs(a) < Math.abs(b) ? b : a)),
    ),
  ];
}

/** How far its clock is ahead of ours, in ms. */
async function aheadBy(redis: Redis, now: () => number): Promise<number> {
  const [before, [seconds, micros]] = [now(), await redis.time()];
  const time = Number(seconds) * 1000 + Number(micros) / 1000;
  return time - (before + now()) / 2;
}

async function infoOf(redis: Redis): Promise<(field: string) => string> {
  const text = String(await redis.info());
  return (field) => new RegExp(`^${field}:(.*?)\\r?$`, 'm').exec(text)?.[1] ?? '';
}

function versionFinding(info: (field: string) => string): Finding {
  const valkey = info('valkey_version');
  const version = valkey || info('redis_version');
  const name = valkey ? 'Valkey' : 'Redis';
  if (valkey !== '' || Number.parseInt(version, 10) >= 7) return ok('Redis version', `${name} ${version}`);
  return error('Redis version', `${name} ${version}`, 'Upgrade to Redis 7.0 or newer, or to Valkey.');
}

function policyFinding(info: (field: string) => string): Finding {
  const policy = info('maxmemory_policy');
  if (policy === 'noeviction') return ok('Redis eviction', policy);
  const fix = 'Set `maxmemory-policy noeviction` in redis.conf: any other policy may drop entries unread.';
  return error('Redis eviction', `maxmemory-policy is ${policy}`, fix);
}

async function storeFindings(redis: Redis): Promise<Finding[]> {
  const { durable, usedBytes, maxBytes } = await redisView(redis);
  const used = `${size(usedBytes)} of ${maxBytes === 0 ? 'no limit' : size(maxBytes)}`;
  return [
    durable
      ? ok('Redis durability', 'the append-only file is written')
      : warning(
          'Redis durability',
          'the append-only file is off, or its last write failed',
          'Set `appendonly yes` and look at the disk: a restart of Redis would lose what is in the streams.',
        ),
    maxBytes > 0 && usedBytes > fullShare * maxBytes
      ? warning(
          'Redis memory',
          used,
          'Add indexers, or raise `maxmemory` (docs/runbooks/HeadwaterRedisMemory.md).',
        )
      : ok('Redis memory', used),
  ];
}
