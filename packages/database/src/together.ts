import { sqlState } from './pool.ts';

/** In a transaction that has failed PostgreSQL says of all that follows: not before its end, or: never heard of it. */
const sequels = new Set(['25P02', '26000']);

/**
 * Waits for statements that were issued at once, on one connection: they are sent one after the other without waiting
 * for answers, and run in that order. Nothing of them is under way any more when this returns or throws.
 *
 * @throws what the first of them that failed threw, not what came of it for the others
 */
export async function together<T extends readonly unknown[]>(
  ...issued: T
): Promise<{ -readonly [I in keyof T]: Awaited<T[I]> }> {
  const settled = await Promise.allSettled(issued);
  const errors = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
  if (errors.length > 0) throw errors.find((err) => !sequels.has(sqlState(err) ?? '')) ?? errors[0];
  return settled.map((one) => (one as PromiseFulfilledResult<unknown>).value) as never;
}
