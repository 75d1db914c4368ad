import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  backoff,
  createLogger,
  loadSettings,
  Metrics,
  SettingsError,
  sleep,
  startOpsServer,
  supervise,
} from './index.ts';
import { declarations } from './settings/load.ts';

const env = { REDIS_URL: 'redis://:secret@h:1', DATABASE_URL: 'postgres://u:secret@h/d' };
const log = createLogger('test', 'silent');

function refused(service: Parameters<typeof loadSettings>[0], extra: Record<string, string>): SettingsError {
  try {
    loadSettings(service, { ...env, ...extra });
  } catch (err) {
    if (err instanceof SettingsError) return err;
    throw err;
  }
  throw new Error(`accepted ${JSON.stringify(extra)}`);
}

describe('settings', () => {
  it('defaults are of their own type and pass their own check', () => {
    for (const group of Object.values(declarations)) {
      for (const s of Object.values(group)) {
        if ('default' in s && s.default !== undefined && s.default !== '') {
          expect(s.parse(Array.isArray(s.default) ? s.default.join(',') : String(s.default))).toEqual(
            s.default,
          );
        }
      }
    }
  });

  it('reads numbers, bytes, flags and lists', () => {
    const s = loadSettings('repo-backfiller', {
      ...env,
      BACKFILLER_CONCURRENCY: '1_0',
      BACKFILLER_HIGH_WATER_BYTES: '2GiB',
      BACKFILLER_FORCE: 'yes',
    });
    expect([s.concurrency, s.highWaterBytes, s.force]).toEqual([10, 2 ** 31, true]);
    expect(loadSettings('ingester', { ...env, INGESTER_RELAY_HOSTS: 'a, b,' }).relayHosts).toEqual([
      'a',
      'b',
    ]);
  });

  it('names the variable that is missing, bad or unknown', () => {
    expect(refused('ingester', { REDIS_URL: '' }).message).toMatch(/^REDIS_URL: is missing/);
    expect(refused('ingester', { INGESTER_MODE: 'some' }).message).toMatch(
      /^INGESTER_MODE: .*firehose.*"some"/,
    );
    expect(refused('indexer', { INDEXER_BATCH_SIZE: '-1' }).variable).toBe('INDEXER_BATCH_SIZE');
    expect(refused('indexer', { INGESTER_HIGH_WATERMARK: '5' }).message).toMatch(
      /mean INGESTER_HIGH_WATER_MARK/,
    );
  });

  it('reads a secret from a file and never shows one', () => {
    const dir = mkdtempSync(join(tmpdir(), 'ops-'));
    onTestFinished(() => rmSync(dir, { recursive: true }));
    writeFileSync(join(dir, 'url'), 'redis://file\n');
    expect(loadSettings('ingester', { REDIS_URL_FILE: join(dir, 'url') }).redisUrl).toBe('redis://file');
    expect(refused('ingester', { REDIS_URL: 'htp://:hunter2@x' }).message).not.toContain('hunter2');
    expect(refused('ingester', { REDIS_URL_FILE: '/nowhere' }).variable).toBe('REDIS_URL_FILE');
  });
});

describe('supervise', () => {
  it('starts a failed task again, counts it, and ends with the signal', async () => {
    const stop = new AbortController();
    const metrics = new Metrics('test');
    let runs = 0;
    const task = async () => {
      if (++runs === 3) stop.abort();
      throw new Error('again');
    };
    await supervise('t', task, { signal: stop.signal, log, metrics, baseMs: 1 });
    expect(runs).toBe(3);
    expect(await metrics.registry.metrics()).toMatch(/task_restarts_total\{task="t",service="test"\} 2/);
  });

  it('hands fatal errors on', async () => {
    const task = () => Promise.reject(new RangeError('corrupt'));
    const options = { signal: new AbortController().signal, log, metrics: new Metrics('test') };
    const run = supervise('t', task, { ...options, isFatal: (err) => err instanceof RangeError });
    await expect(run).rejects.toThrow('corrupt');
  });
});

describe('pauses', () => {
  it('grow up to their ceiling', () => {
    for (let attempt = 1; attempt < 80; attempt++) {
      const ceiling = Math.min(1000, 10 * 2 ** (attempt - 1));
      const ms = backoff(attempt, { baseMs: 10, maxMs: 1000 });
      expect(ms).toBeGreaterThanOrEqual(ceiling / 2);
      expect(ms).toBeLessThanOrEqual(ceiling);
    }
  });

  it('end with the signal', async () => {
    const stop = new AbortController();
    const slept = sleep(3_600_000, stop.signal);
    stop.abort();
    await slept;
    await sleep(3_600_000, stop.signal);
  });
});

describe('ops server', () => {
  it('tells liveness from readiness', async () => {
    let redis: true | string = 'no answer';
    const metrics = new Metrics('test');
    metrics.counter('things_total', 'Things.').inc();
    await using server = await startOpsServer({
      port: 0,
      host: '127.0.0.1',
      metrics,
      log,
      ready: async () => ({ redis }),
    });
    const get = (path: string) => fetch(`http://127.0.0.1:${server.port}${path}`);
    expect((await get('/healthz')).status).toBe(200);
    const notReady = await get('/readyz');
    expect([notReady.status, await notReady.json()]).toEqual([
      503,
      { status: 'not ready', parts: { redis: 'no answer' } },
    ]);
    redis = true;
    expect((await get('/readyz')).status).toBe(200);
    expect(await (await get('/metrics')).text()).toContain('headwater_things_total{service="test"} 1');
    expect((await get('/else')).status).toBe(404);
  });
});

describe('a service as a process', () => {
  const start = (body: string, more: Record<string, string> = {}) =>
    spawn(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `import { runService, untilAborted } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};
         await runService('ingester', async ({ signal }) => { ${body} });`,
      ],
      { env: { PATH: process.env.PATH, ...env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
  const read = async (stream: NodeJS.ReadableStream) => {
    let out = '';
    for await (const chunk of stream) out += chunk;
    return out;
  };

  it('drains on SIGTERM and exits 0', async () => {
    const child = start(`console.log('up'); await untilAborted(signal); console.log('drained');`);
    let out = '';
    let told = false;
    child.stdout.on('data', (chunk) => {
      out += chunk;
      // Once: a second signal may meet a process that is past its handlers.
      if (!told && out.includes('up\n')) told = child.kill('SIGTERM');
    });
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(out).toContain('drained');
  });

  it('gives up a drain that takes too long', async () => {
    const child = start(`console.log('up'); await new Promise(() => setInterval(() => {}, 1000));`, {
      HEADWATER_DRAIN_MS: '50',
    });
    child.stdout.on('data', (chunk) => String(chunk).includes('up\n') && child.kill('SIGTERM'));
    expect((await once(child, 'exit'))[0]).toBe(1);
  });

  it('exits 1 when main fails and 2 on bad settings, with one line', async () => {
    const failed = start(`throw new Error('no luck');`);
    const out = read(failed.stdout);
    expect((await once(failed, 'exit'))[0]).toBe(1);
    expect(await out).toContain('no luck');
    const refused = start('', { INGESTER_HOST: 'x' });
    const err = read(refused.stderr);
    expect((await once(refused, 'exit'))[0]).toBe(2);
    expect(await err).toMatch(/^headwater ingester can't start\. INGESTER_HOST: .*\n$/);
  });
});
