import { setImmediate as allReadyWork } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { Outbox } from './outbox.ts';

/** An outbox whose writes end when the test says so. Without a pace it has no timers: what it can do it has done after `allReadyWork`. */
function slowOutbox(paceMs = 0) {
  const batches: number[][] = [];
  let free: (() => void) | undefined;
  let onWrite = () => {};
  const outbox = new Outbox<number>({
    write: (items) => {
      batches.push(items);
      onWrite();
      return new Promise((resolve) => {
        free = resolve;
      });
    },
    size: () => 10,
    maxItems: 5,
    maxBytes: 1000,
    paceMs,
  });
  const stop = new AbortController();
  const running = outbox.run(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    free?.();
    await running;
  });
  const written = async () => {
    free?.();
    await allReadyWork();
  };
  const nextWrite = () =>
    new Promise<void>((resolve) => {
      onWrite = resolve;
    });
  return { outbox, batches, written, nextWrite, signal: stop.signal };
}

it('writes a lone item at once, and what comes meanwhile as one batch after it', async () => {
  const { outbox, batches, written } = slowOutbox();
  outbox.push(1);
  await allReadyWork();
  expect(batches).toEqual([[1]]);
  for (const n of [2, 3, 4, 5, 6, 7, 8]) outbox.push(n);
  await written();
  await written();
  expect(batches).toEqual([[1], [2, 3, 4, 5, 6], [7, 8]]);
});

it('holds two batches beside the one on its way, and no more', async () => {
  const { outbox, batches, written, signal } = slowOutbox();
  outbox.push(0);
  await allReadyWork();
  for (let n = 1; n <= 10; n++) outbox.push(n);
  let isFree = false;
  const room = outbox.room(signal).then(() => {
    isFree = true;
  });
  await allReadyWork();
  expect([isFree, batches.length]).toEqual([false, 1]);
  await written();
  await room;
  expect(outbox.length).toBe(5);
});

it('writes for those who only want their cursor stored', async () => {
  const { outbox, batches } = slowOutbox();
  outbox.poke();
  await allReadyWork();
  expect(batches).toEqual([[]]);
});

it('waits between two writes of a busy stream, not before the first', async () => {
  const { outbox, batches, written, nextWrite } = slowOutbox(40);
  const started = performance.now();
  outbox.push(1);
  await allReadyWork();
  expect(batches).toHaveLength(1);
  outbox.push(2);
  const second = nextWrite();
  await written();
  await second;
  expect(performance.now() - started).toBeGreaterThan(35);
});
