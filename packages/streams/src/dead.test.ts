import { expect, it } from 'vitest';
import { useRedis } from '../../../test/support/index.ts';
import { dead } from './dead.ts';
import { keysOf } from './keys.ts';
import { Producer } from './producer.ts';
import { consumeNumbers, isQuiet, newStream, numbers, until } from './testing.ts';

const used = useRedis();

class Odd extends Error {
  override name = 'Odd';
}

async function withDead(count: number): Promise<string> {
  const stream = newStream();
  await new Producer(used.redis, stream).append(numbers(0, count));
  await using _ = consumeNumbers({
    redis: used.redis,
    stream,
    key: String,
    maxAttempts: 1,
    write: async (batch) =>
      batch.map((entry) =>
        entry.item % 2
          ? { entry, outcome: 'failed', error: new Odd(`${entry.item} is odd`) }
          : { entry, outcome: 'dead', reason: 'even' },
      ),
  });
  await until(() => isQuiet(used.redis, stream));
  return stream;
}

it('lists by pages and by reason', async () => {
  const stream = await withDead(450);
  const seen: string[] = [];
  for (let after: string | undefined; ; ) {
    const { letters, next } = await dead.list(used.redis, stream, { count: 100, after });
    seen.push(...letters.map(({ fields }) => fields['n']!));
    if (!next) break;
    after = next;
  }
  expect(new Set(seen).size).toBe(450);
  const odd = await dead.list(used.redis, stream, { count: 300, reason: 'Odd' });
  expect(odd.letters).toHaveLength(225);
  expect(odd.next).toBeUndefined();
  expect(odd.letters.every(({ fields }) => Number(fields['n']) % 2 === 1)).toBe(true);
  const [first] = odd.letters;
  expect(await dead.show(used.redis, stream, first!.id)).toEqual(first);
  expect(first).toMatchObject({ error: `Odd: ${first!.fields['n']} is odd`, attempts: 1, source: stream });
  expect(await dead.show(used.redis, stream, '1-1')).toBeUndefined();
  expect((await dead.list(used.redis, newStream())).letters).toEqual([]);
});

it('requeues letters as they were, with their tries forgotten, and discards others', async () => {
  const stream = await withDead(10);
  const { letters } = await dead.list(used.redis, stream);
  const [odd, even] = [
    letters.filter(({ reason }) => reason === 'Odd'),
    letters.filter(({ reason }) => reason === 'even'),
  ];
  const ids = odd.map(({ id }) => id);
  expect(await dead.requeue(used.redis, stream, [...ids, '1-1'])).toBe(5);
  expect(await dead.requeue(used.redis, stream, ids)).toBe(0);
  expect(
    await dead.discard(
      used.redis,
      stream,
      even.slice(0, 2).map(({ id }) => id),
    ),
  ).toBe(2);
  expect(await used.redis.xlen(keysOf(used.redis, stream).dead)).toBe(3);
  expect((await used.redis.xrange(stream, '-', '+')).map(([, fields]) => fields)).toEqual(
    odd.map(({ fields }) => ['n', fields['n']]),
  );
  await using consumer = consumeNumbers({ redis: used.redis, stream });
  await until(() => isQuiet(used.redis, stream));
  expect(consumer.written).toHaveLength(5);
});

it('keeps fields of any name and content, and the way back to the urgent stream', async () => {
  const stream = newStream();
  const fields = {
    reason: 'mine',
    n: 'x',
    error: '',
    text: 'a\u0000b "quoted" \u{1f30a}',
    source: 'y',
    group: 'z',
  };
  const { urgent, dead: letterStream } = keysOf(used.redis, stream);
  await new Producer(used.redis, urgent).append([fields]);
  await using consumer = consumeNumbers({
    redis: used.redis,
    stream: [urgent, stream],
    maxAttempts: 3,
    parkAboveMs: 0,
    write: async () => {
      throw new Error('no');
    },
  });
  await until(async () => (await used.redis.xlen(letterStream)) === 1);
  await consumer.stop();
  const { letters } = await dead.list(used.redis, stream);
  expect(letters).toMatchObject([{ fields, reason: 'Error', source: urgent, group: 'group', attempts: 3 }]);
  expect(await dead.requeue(used.redis, stream, [letters[0]!.id])).toBe(1);
  const [entry] = await used.redis.xrange(urgent, '-', '+');
  expect(entry![1]).toEqual(Object.entries(fields).flat());
});
