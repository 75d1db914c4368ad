import type { Held } from './decide.ts';
import type { Client } from './pool.ts';
import type { Op } from './prepare.ts';
import { together } from './together.ts';

const readRows = {
  name: 'held rows',
  text: 'SELECT uri, cid, rev FROM record WHERE uri = ANY($1)',
};

const readTombstones = {
  name: 'held tombstones',
  text: `SELECT 'at://' || t.did || '/' || t.path AS uri, t.rev
    FROM unnest($1::text[], $2::text[]) AS k(did, path) JOIN headwater.tombstone t ON t.did = k.did AND t.path = k.path`,
};

export interface Present extends Held {
  tombstone: boolean;
}

/** What the tables hold for the URIs of these operations: rows and tombstones. */
export async function readHeld(client: Client, ops: readonly Op[]): Promise<Map<string, Present>> {
  const held = new Map<string, Present>();
  const byUri = new Map(ops.map((op) => [op.uri, op]));
  if (byUri.size === 0) return held;
  const rows = await client.query<{ uri: string; cid: string; rev: string }>({
    ...readRows,
    values: [[...byUri.keys()]],
  });
  for (const { uri, cid, rev } of rows.rows) held.set(uri, { rev, cid, tombstone: false });
  // A row and a tombstone exclude each other.
  const without = [...byUri.values()].filter((op) => !held.has(op.uri));
  if (without.length === 0) return held;
  const tombstones = await client.query<{ uri: string; rev: string }>({
    ...readTombstones,
    values: [without.map((op) => op.did), without.map(pathOf)],
  });
  for (const { uri, rev } of tombstones.rows) held.set(uri, { rev, cid: null, tombstone: true });
  return held;
}

/** `collection/rkey`. */
function pathOf({ uri, did }: Op): string {
  return uri.slice('at://'.length + did.length + 1);
}

const buryRows = {
  name: 'tombstone put',
  text: `INSERT INTO headwater.tombstone (did, path, rev) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
    ON CONFLICT (did, path) DO UPDATE SET rev = excluded.rev`,
};

const reviveRows = {
  name: 'tombstone delete',
  text: `DELETE FROM headwater.tombstone t USING unnest($1::text[], $2::text[]) AS k(did, path)
    WHERE t.did = k.did AND t.path = k.path`,
};

/** Remembers deletions that a live commit made, and forgets those that a newer version undid. */
export async function writeTombstones(
  client: Client,
  buried: readonly Op[],
  revived: readonly Op[],
): Promise<void> {
  const put = [buried.map((op) => op.did), buried.map(pathOf), buried.map((op) => op.rev)];
  const gone = [revived.map((op) => op.did), revived.map(pathOf)];
  await together(
    buried.length > 0 && client.query({ ...buryRows, values: put }),
    revived.length > 0 && client.query({ ...reviveRows, values: gone }),
  );
}
