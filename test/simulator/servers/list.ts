import type { Account } from '../world/account.ts';
import type { World } from '../world/world.ts';
import type { Call } from './http.ts';
import { json, type Reply } from './reply.ts';

/** The part of a list that is asked for. The cursor is the place in it, after whatever a fault has put before a colon. */
export function placeOf({ params }: Call, defaultLimit = 500): { start: number; limit: number } {
  const cursor = params.get('cursor') ?? '0';
  const start = Number(cursor.slice(cursor.lastIndexOf(':') + 1)) || 0;
  const limit = Math.min(Math.max(Number(params.get('limit') ?? defaultLimit) || defaultLimit, 1), 1000);
  return { start: Math.max(start, 0), limit };
}

/** A page of repos; lines that are not shown do not count. */
export function pageOf<T>(
  all: readonly T[],
  call: Call,
  show: (item: T) => Record<string, unknown> | undefined,
): Reply {
  const { start, limit } = placeOf(call);
  const repos: Record<string, unknown>[] = [];
  let at = start;
  for (; at < all.length && repos.length < limit; at++) {
    const line = show(all[at]!);
    if (line) repos.push(line);
  }
  return json({ repos, ...(at < all.length && { cursor: String(at) }) });
}

/** A line of listRepos. Of an account that it has taken down a host knows no head. */
export function repoLine(world: World, account: Account, status: string): Record<string, unknown> {
  const { did, rev } = account;
  if (status === 'active') return { did, head: world.headOf(account), rev, active: true };
  if (status === 'takendown') return { did, head: '', rev: '', active: false, status };
  return { did, head: world.headOf(account), rev, active: false, status };
}
