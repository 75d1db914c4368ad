import { type DeadLetter, dead, type Redis } from '@headwater/streams';

/** Which letters of a stream: some by id, those with one reason, or all. */
export interface Choice {
  stream: string;
  ids?: readonly string[] | undefined;
  reason?: string | undefined;
  /** No more than so many. */
  most?: number;
}

const page = 500;

/** Puts letters back or deletes them. @returns how many there were */
export async function moveLetters(
  redis: Redis,
  verb: 'requeue' | 'discard',
  choice: Choice,
): Promise<number> {
  let moved = 0;
  for await (const ids of chosenLetters(redis, choice)) moved += await dead[verb](redis, choice.stream, ids);
  return moved;
}

/** Ids page by page; the letters of a page may be gone when the next is read. */
export async function* chosenLetters(
  redis: Redis,
  { stream, ids, reason, most = Infinity }: Choice,
): AsyncGenerator<readonly string[]> {
  if (ids) return yield ids;
  let after: string | undefined;
  let left = most;
  do {
    const count = Math.min(page, left);
    const options = { count, ...(reason && { reason }), ...(after && { after }) };
    const found: { letters: DeadLetter[]; next: string | undefined } = await dead.list(
      redis,
      stream,
      options,
    );
    yield found.letters.map(({ id }) => id);
    left -= found.letters.length;
    after = found.next;
  } while (after !== undefined && left > 0);
}
