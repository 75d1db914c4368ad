import type { Link } from './chain.ts';
import type { GapReason, Repo, RepoStateName } from './decide.ts';
import type { Client, Pool } from './pool.ts';
import { formatRanges, parseRanges } from './ranges.ts';
import { together } from './together.ts';

interface RepoRow {
  did: string;
  state: RepoStateName;
  floor: string | null;
  fetch_id: string | null;
  parts: number | null;
  parts_done: string;
  fresh: boolean;
  fetch_commit: string | null;
  fetch_data: string | null;
  live_rev: string | null;
  head: string | null;
  head_data: string | null;
  links: Link[] | null;
  gap: boolean;
  gap_reason: GapReason | null;
  account_status: string | null;
  account_time: string | null;
  actor: boolean;
}

const insertMissing = {
  name: 'repo insert',
  text: 'INSERT INTO headwater.repo (did) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING',
};

const columns = `did, state, floor, fetch_id, parts, parts_done::text, fresh, fetch_commit, fetch_data, live_rev, head,
  head_data, links, gap_at IS NOT NULL AS gap, gap_reason, account_status,
  (extract(epoch FROM account_time) * 1000)::bigint::text AS account_time, actor`;

const select = `SELECT ${columns} FROM headwater.repo WHERE did = ANY($1) ORDER BY did FOR NO KEY UPDATE`;
const selectLocked = { name: 'repo lock', text: select };
const selectFree = { name: 'repo lock, not waiting', text: `${select} SKIP LOCKED` };

/**
 * Takes the locks of repos, making their rows first where they are missing. Until the transaction ends nobody
 * else changes rows of these repos. In the order of DIDs: transactions that want the same repos queue, never circle.
 *
 * @param patient whether to wait for those that another holds, or to leave them out
 */
export async function lockRepos(
  client: Client,
  dids: Iterable<string>,
  patient = true,
): Promise<Map<string, Repo>> {
  const sorted = [...new Set(dids)].sort();
  if (sorted.length === 0) return new Map();
  const [, { rows }] = await together(
    client.query({ ...insertMissing, values: [sorted] }),
    client.query<RepoRow>({ ...(patient ? selectLocked : selectFree), values: [sorted] }),
  );
  return new Map(rows.map((row) => [row.did, fromRow(row)]));
}

function fromRow(row: RepoRow): Repo {
  const account =
    row.account_time === null
      ? null
      : {
          active: row.account_status === null,
          status: row.account_status,
          time: Number(row.account_time),
        };
  return {
    did: row.did,
    state: row.state,
    floor: row.floor,
    fetch: row.fetch_id,
    parts: row.parts,
    partsDone: parseRanges(row.parts_done),
    fresh: row.fresh,
    fetchCommit: row.fetch_commit,
    fetchData: row.fetch_data,
    liveRev: row.live_rev,
    head: row.head,
    headData: row.head_data,
    links: row.links ?? [],
    gap: row.gap,
    gapReason: row.gap_reason,
    account,
    actor: row.actor,
  };
}

const updateRepos = {
  name: 'repo update',
  text: `UPDATE headwater.repo r SET
      state = u.state, floor = u.floor, fetch_id = u.fetch_id, parts = u.parts,
      parts_done = u.parts_done::int4multirange, fresh = u.fresh, fetch_commit = u.fetch_commit,
      fetch_data = u.fetch_data, live_rev = u.live_rev, head = u.head, head_data = u.head_data,
      links = u.links::jsonb, gap_at = CASE WHEN u.gap THEN coalesce(r.gap_at, now()) END,
      gap_reason = u.gap_reason, asked_at = CASE WHEN u.gap AND u.gap_reason = r.gap_reason THEN r.asked_at END,
      account_status = u.account_status, account_time = to_timestamp(u.account_time / 1000.0),
      actor = u.actor, updated_at = now()
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::bool[], $8::text[],
      $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::bool[], $15::text[], $16::text[],
      $17::float8[], $18::bool[])
      AS u(did, state, floor, fetch_id, parts, parts_done, fresh, fetch_commit, fetch_data, live_rev, head, head_data,
        links, gap, gap_reason, account_status, account_time, actor)
    WHERE r.did = u.did`,
};

/** Writes back the state of repos whose locks are held. */
export async function saveRepos(client: Client, repos: readonly Repo[]): Promise<void> {
  if (repos.length === 0) return;
  const values = [
    repos.map((r) => r.did),
    repos.map((r) => r.state),
    repos.map((r) => r.floor),
    repos.map((r) => r.fetch),
    repos.map((r) => r.parts),
    repos.map((r) => formatRanges(r.partsDone)),
    repos.map((r) => r.fresh),
    repos.map((r) => r.fetchCommit),
    repos.map((r) => r.fetchData),
    repos.map((r) => r.liveRev),
    repos.map((r) => r.head),
    repos.map((r) => r.headData),
    repos.map((r) => (r.links.length > 0 ? JSON.stringify(r.links) : null)),
    repos.map((r) => r.gap),
    repos.map((r) => r.gapReason),
    repos.map((r) => (r.account && !r.account.active ? (r.account.status ?? 'unknown') : null)),
    repos.map((r) => r.account?.time ?? null),
    repos.map((r) => r.actor),
  ];
  await client.query({ ...updateRepos, values });
}

/** '0' is the character after '/'. */
const hasRows = (did: string) =>
  `EXISTS (SELECT 1 FROM record WHERE uri > 'at://' || ${did} || '/' AND uri < 'at://' || ${did} || '0')`;

/*
 * A repo that has no row has no tombstones, and nobody can give it records before its row is there. Records may stand
 * here all the same, of another indexer.
 */
const insertFetching = {
  name: 'repo insert, fetching',
  text: `INSERT INTO headwater.repo AS r (did, state, floor, fetch_id)
    SELECT did, 'fetching', rev, id FROM unnest($1::text[], $2::text[], $3::text[]) AS u(did, rev, id)
    ORDER BY did ON CONFLICT DO NOTHING RETURNING did, ${hasRows('r.did')} AS rows`,
};

/**
 * Makes the rows of repos whose first fetch begins, where they are missing.
 *
 * @returns those that it made, and whether there are records of them
 */
export async function addFetching(
  client: Client | Pool,
  starts: readonly { did: string; rev: string; fetch: string }[],
): Promise<Map<string, boolean>> {
  if (starts.length === 0) return new Map();
  const values = [
    starts.map(({ did }) => did),
    starts.map(({ rev }) => rev),
    starts.map(({ fetch }) => fetch),
  ];
  const { rows } = await client.query<{ did: string; rows: boolean }>({ ...insertFetching, values });
  return new Map(rows.map(({ did, rows }) => [did, rows]));
}

const rowless = {
  name: 'repos without rows',
  text: `SELECT did FROM unnest($1::text[]) AS u(did) WHERE NOT ${hasRows('u.did')}`,
};

/** Those of which not one row is there. What live events write from now on is above the floor, and needs no comparison. */
export async function withoutRows(client: Client, repos: readonly { did: string }[]): Promise<Set<string>> {
  if (repos.length === 0) return new Set();
  const { rows } = await client.query<{ did: string }>({ ...rowless, values: [repos.map(({ did }) => did)] });
  return new Set(rows.map(({ did }) => did));
}
