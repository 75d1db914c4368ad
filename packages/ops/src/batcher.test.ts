import { expect, it } from 'vitest';
import { Batcher } from './index.ts';

it.each([0, 5])(
  'asks for all together that is asked for within the wait (%i ms), at most so many at once',
  async (ms) => {
    const asked: number[][] = [];
    const batcher = new Batcher<number, string>(
      async (keys) => {
        asked.push(keys);
        return new Map(keys.filter((key) => key !== 3).map((key) => [key, `${key}`]));
      },
      3,
      ms,
    );
    const answers = await Promise.all([1, 2, 2, 3, 4].map((key) => batcher.get(key)));
    expect(answers).toEqual(['1', '2', '2', undefined, '4']);
    expect(asked).toEqual([
      [1, 2],
      [3, 4],
    ]);
  },
);

it('gathers while it waits for an answer', async () => {
  const asked: number[][] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const batcher = new Batcher<number, number>(async (keys) => {
    asked.push(keys);
    await promise;
    return new Map(keys.map((key) => [key, key]));
  }, 10);
  const first = batcher.get(1);
  await expect.poll(() => asked.length).toBe(1);
  const later = [2, 3, 4].map((key) => batcher.get(key));
  resolve();
  expect(await Promise.all([first, ...later])).toEqual([1, 2, 3, 4]);
  expect(asked).toEqual([[1], [2, 3, 4]]);
});

it('tells everybody who was part of a question that it failed, and goes on', async () => {
  let failures = 1;
  const batcher = new Batcher<number, number>(async (keys) => {
    if (failures-- > 0) throw new Error('away');
    return new Map(keys.map((key) => [key, key]));
  }, 2);
  const answers = await Promise.allSettled([1, 2, 3].map((key) => batcher.get(key)));
  expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
  expect(await batcher.get(4)).toBe(4);
});
