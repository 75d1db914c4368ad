import { type Repo, upstreamStatus } from './decide.ts';
import type { Client } from './pool.ts';
import { together } from './together.ts';

const insertActors = {
  name: 'actor insert',
  text: `INSERT INTO actor (did, "indexedAt", "upstreamStatus") SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
    ON CONFLICT (did) DO NOTHING`,
};

const updateStatus = {
  name: 'actor status',
  text: `UPDATE actor a SET "upstreamStatus" = u.status FROM unnest($1::text[], $2::text[]) AS u(did, status)
    WHERE a.did = u.did AND a."upstreamStatus" IS DISTINCT FROM u.status`,
};

const askForHandles = {
  name: 'handle due',
  text: `INSERT INTO headwater.handle_due (did, due, refresh) SELECT did, now(), $2 FROM unnest($1::text[]) AS did
    ON CONFLICT (did) DO UPDATE SET due = now(), tries = 0, refresh = handle_due.refresh OR excluded.refresh`,
};

/** A row in `actor` for every repo seen, the handle to be verified by the lane that does so. */
export async function addActors(client: Client, repos: readonly Repo[], now: number): Promise<void> {
  if (repos.length === 0) return;
  const at = new Date(now).toISOString();
  const dids = repos.map((r) => r.did);
  await together(
    client.query({ ...insertActors, values: [dids, dids.map(() => at), repos.map(statusOf)] }),
    requestHandles(client, dids, false),
  );
}

/** Shows or hides accounts whose status changed. */
export async function writeStatuses(client: Client, repos: readonly Repo[]): Promise<void> {
  if (repos.length === 0) return;
  await client.query({ ...updateStatus, values: [repos.map((r) => r.did), repos.map(statusOf)] });
}

/** Has the handles of these accounts verified as soon as may be, with fresh documents where `refresh` says so. */
export async function requestHandles(
  client: Client,
  dids: readonly string[],
  refresh: boolean,
): Promise<void> {
  if (dids.length > 0) await client.query({ ...askForHandles, values: [[...new Set(dids)].sort(), refresh] });
}

function statusOf(repo: Repo): string | null {
  return repo.account ? upstreamStatus(repo.account) : null;
}

const upsertSync = {
  name: 'actor_sync',
  text: `INSERT INTO actor_sync (did, "commitCid", "repoRev") SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
    ON CONFLICT (did) DO UPDATE SET "commitCid" = excluded."commitCid", "repoRev" = excluded."repoRev"
    WHERE actor_sync."repoRev" IS NULL OR actor_sync."repoRev" COLLATE "C" < excluded."repoRev" COLLATE "C"`,
};

/** Notes the newest commit of each repo; an older one changes nothing. */
export async function writeSync(
  client: Client,
  commits: ReadonlyMap<string, { rev: string; cid: string }>,
): Promise<void> {
  if (commits.size === 0) return;
  const list = [...commits];
  await client.query({
    ...upsertSync,
    values: [list.map(([did]) => did), list.map(([, c]) => c.cid), list.map(([, c]) => c.rev)],
  });
}
