import { expect, it, vi } from 'vitest';
import { useRedis } from '../../../test/support/index.ts';
import { until } from '../../../test/support/wait.ts';
import { pause, pausesOf, resume, whileAllowed } from './pauses.ts';
import { silent } from './types.ts';

const used = useRedis();

/** A task that counts its runs and ends when it is told to. */
function counting() {
  const runs: AbortSignal[] = [];
  const task = async (signal: AbortSignal) => {
    runs.push(signal);
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  };
  return { runs, task };
}

it('a pause ends the task, and its end begins it again', async () => {
  const stop = new AbortController();
  const { runs, task } = counting();
  const options = {
    redis: used.redis,
    what: 'indexer-live',
    signal: stop.signal,
    log: silent,
    pollMs: 5,
  } as const;
  const running = whileAllowed(options, task);
  await until('it runs', () => runs.length === 1);
  await pause(used.redis, 'indexer-live', { by: 'test', reason: 'to see' });
  await until('it stands still', () => runs[0]!.aborted);
  expect(await pausesOf(used.redis)).toMatchObject({ 'indexer-live': { by: 'test', reason: 'to see' } });
  expect(await resume(used.redis, 'indexer-live')).toBe(true);
  expect(await resume(used.redis, 'indexer-live')).toBe(false);
  await until('it runs again', () => runs.length === 2);
  stop.abort();
  await running;
});

it('what is paused does not begin, and still stops', async () => {
  await pause(used.redis, 'repo-backfiller', { by: 'test', reason: null });
  const stop = new AbortController();
  const { runs, task } = counting();
  const options = {
    redis: used.redis,
    what: 'repo-backfiller',
    signal: stop.signal,
    log: silent,
    pollMs: 1,
  } as const;
  const looks = vi.spyOn(used.redis, 'hexists');
  const running = whileAllowed(options, task);
  await until('it has looked again and again', () => looks.mock.calls.length > 3);
  looks.mockRestore();
  stop.abort();
  await running;
  expect(runs).toEqual([]);
});

it("a task's own failure and end are its supervisor's business", async () => {
  const signal = new AbortController().signal;
  const options = { redis: used.redis, what: 'ingester-labels', signal, log: silent, pollMs: 5 } as const;
  await expect(whileAllowed(options, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  await whileAllowed(options, async () => {});
});
