import { type HandleResolver, IdentityError, type IdentityResolver, isHandle } from '@headwater/identity';
import type { Sql } from '../open.ts';

/** What is known of one account. */
export interface AccountView {
  did: string;
  handle: string | null;
  pds: string | null;
  /** Why its document could not be had. */
  identityProblem: string | null;
  repo: RepoView | null;
  records: { count: number; more: boolean };
  actor: { handle: string | null; indexedAt: string; upstreamStatus: string | null } | null;
}

interface RepoView {
  state: string;
  reason: string | null;
  floor: string | null;
  head: string | null;
  liveRev: string | null;
  gapAt: string | null;
  gapReason: string | null;
  accountStatus: string | null;
  firstSeen: string;
  updatedAt: string;
}

/** Rows counted, at most: an account may have millions. */
const mostCounted = 100_000;

export interface Lookup {
  sql: Sql;
  identities: IdentityResolver;
  handles: HandleResolver;
}

/** The DID that a DID or handle stands for; null when there is none. */
export async function didOf(text: string, { sql, handles }: Lookup): Promise<string | null> {
  const name = text.trim().replace(/^@|^at:\/\//, '');
  if (/^did:[a-z]+:[a-zA-Z0-9._:%-]{1,500}$/.test(name)) return name;
  if (!isHandle(name.toLowerCase())) return null;
  const [row] = await sql<{ did: string }[]>`SELECT did FROM actor WHERE handle = ${name.toLowerCase()}`;
  if (row) return row.did;
  return handles.resolveHandle(name).catch((error) => {
    if (error instanceof IdentityError) return null;
    throw error;
  });
}

/** What tables and directory say of a DID. */
export async function accountOf(did: string, lookup: Lookup): Promise<AccountView> {
  const { sql } = lookup;
  const [identity, repos, actors, records] = await Promise.all([
    identityOf(did, lookup),
    sql<RepoView[]>`
      SELECT state, reason, floor, head, live_rev AS "liveRev", gap_at AS "gapAt", gap_reason AS "gapReason",
        account_status AS "accountStatus", first_seen AS "firstSeen", updated_at AS "updatedAt"
      FROM headwater.repo WHERE did = ${did}`,
    sql<NonNullable<AccountView['actor']>[]>`
      SELECT handle, "indexedAt", "upstreamStatus" FROM actor WHERE did = ${did}`,
    sql<{ n: number }[]>`
      SELECT count(*)::int AS n FROM (SELECT 1 FROM record
        WHERE uri >= ${`at://${did}/`} AND uri < ${`at://${did}0`} LIMIT ${mostCounted + 1}) AS counted`,
  ]);
  const n = records[0]!.n;
  return {
    did,
    handle: identity.handle ?? actors[0]?.handle ?? null,
    pds: identity.pds,
    identityProblem: identity.problem,
    repo: repos[0] ?? null,
    records: { count: Math.min(n, mostCounted), more: n > mostCounted },
    actor: actors[0] ?? null,
  };
}

async function identityOf(did: string, { identities }: Lookup) {
  try {
    const { handle, pds } = await identities.resolve(did);
    return { handle: handle ?? null, pds: pds ?? null, problem: null };
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error;
    return { handle: null, pds: null, problem: error.message };
  }
}
