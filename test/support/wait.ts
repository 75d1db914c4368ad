import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits until `look` gives something other than undefined, null or false, and returns it.
 *
 * @param what named in the error when it takes longer than `ms`
 */
export async function until<T>(
  what: string | (() => string | Promise<string>),
  look: () => T | Promise<T>,
  ms = 60_000,
): Promise<NonNullable<Exclude<T, false>>> {
  const end = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== null && found !== false)
      return found as NonNullable<Exclude<T, false>>;
    if (Date.now() > end)
      throw new Error(`not within ${ms} ms: ${typeof what === 'string' ? what : await what()}`);
    await sleep(25);
  }
}
