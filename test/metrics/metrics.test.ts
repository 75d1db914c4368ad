import { freePort } from '@headwater/local';
import { createLogger, loadSettings, Metrics } from '@headwater/ops';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scanMetrics } from '../../deploy/metrics/scan.ts';
import { serve } from '../../services/console/src/page/serve.ts';
import { until } from '../support/wait.ts';
import { World } from '../sync/world.ts';
import { type Cause, figureOf, type Place } from './cause.ts';
import { flow } from './flow.ts';
import { trouble } from './trouble.ts';
import { upkeep } from './upkeep.ts';

/** What a process says of itself. */
const OWN = ['headwater_build_info'];

const causes = [...flow, ...trouble, ...upkeep];

it('every metric that the code declares has a cause here, and no other has', () => {
  const shown = [...OWN, ...causes.flatMap(({ moves }) => Object.keys(moves))];
  expect([...new Set(shown)].sort()).toEqual(scanMetrics().map(({ name }) => name));
});

/** One installation on a simulated network, to which one thing happens after the other. */
describe('what happens shows in its metrics:', () => {
  let place: Place;
  const stop = new AbortController();
  let served: Promise<void>;

  beforeAll(async () => {
    const world = await World.create(
      { seed: 79, repos: 40, hosts: 3, labelers: 1, rates: { delete: 0, hide: 0, migrate: 0 } },
      {
        INGESTER_HIGH_WATER_MARK: '150',
        INGESTER_BATCH_SIZE: '50',
        HEADWATER_IDENTITY_CACHE_SIZE: '1',
        BACKFILLER_MAX_ATTEMPTS: '2',
        BACKFILLER_DEADLINE_MS: '3000',
      },
    );
    const own = new Metrics('console');
    const port = await freePort();
    served = servePage(world, own, port, stop.signal);
    place = {
      world,
      metrics: [...Object.values(world.metrics), own],
      page: `http://127.0.0.1:${port}`,
    };
  });
  afterAll(async () => {
    stop.abort();
    await served;
    await place?.world[Symbol.asyncDispose]();
  });

  it.each(causes.map((cause) => [cause.name, cause] as const))('%s', async (_, cause) => {
    if (!cause.follows && cause !== causes[0]) await place.world.quiet();
    const before = await figures(cause, place);
    await cause.act(place);
    let still = Object.keys(cause.moves);
    const say = async () =>
      `to rise: ${still.join(', ')}; now ${JSON.stringify(await figures(cause, place))}`;
    await until(
      say,
      async () => {
        await cause.meanwhile?.(place);
        const now = await figures(cause, place);
        still = still.filter((name) => now[name]! <= before[name]!);
        return still.length === 0;
      },
      30_000,
    );
    await cause.undo?.(place);
  });

  it("the process's own are there, under the same prefix", async () => {
    for (const { registry } of place.metrics) {
      const text = await registry.metrics();
      for (const name of [
        'build_info',
        'process_cpu_seconds_total',
        'process_resident_memory_bytes',
        'nodejs_eventloop_lag_seconds',
      ]) {
        expect(text).toMatch(new RegExp(`^headwater_${name}\\{.*service="[a-z-]+".*\\} [\\d.e-]+$`, 'm'));
      }
    }
  });
});

async function figures({ moves }: Cause, place: Place): Promise<Record<string, number>> {
  const found = Object.entries(moves).map(async ([name, labels]) => {
    return [name, await figureOf(place, name, labels)] as const;
  });
  return Object.fromEntries(await Promise.all(found));
}

/** The status page over the same Redis and PostgreSQL. */
function servePage(
  { server, database, network }: World,
  metrics: Metrics,
  port: number,
  signal: AbortSignal,
) {
  const env = {
    REDIS_URL: server.url,
    DATABASE_URL: database.url,
    PLC_URL: network.plcUrl,
    CONSOLE_PORT: `${port}`,
  };
  const settings = { ...loadSettings('console', env), metricsPort: 0 };
  return serve({ settings, signal, metrics, log: createLogger('console', 'silent') });
}
