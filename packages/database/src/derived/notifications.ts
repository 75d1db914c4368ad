/** Rows of `notification`: compared with what should be there, written, filtered by muted threads. */
import { copyInto } from '../copy.ts';
import { RowPacker } from '../packed-rows.ts';
import type { Client } from '../pool.ts';
import { others } from '../tables.ts';
import { type Span, Threads } from './posts.ts';

export interface Notification {
  /** Who is told. */
  did: string;
  author: string;
  recordUri: string;
  recordCid: string;
  reason: string;
  reasonSubject: string | null;
  sortAt: string;
}

const { columns } = others.notification;

/**
 * Adds notifications, but none on a thread that its recipient has muted.
 *
 * @returns URIs of the records of which something was told
 */
export async function addNotifications(client: Client, wanted: readonly Notification[]): Promise<string[]> {
  if (wanted.length === 0) return [];
  const muted = await mutedAmong(client, wanted);
  const loud = wanted.filter((n) => !muted.has(n));
  const packer = new RowPacker();
  await copyInto(
    client,
    loud.map((n) =>
      packer.pack(
        'notification',
        columns.map((column) => n[column]),
      ),
    ),
  );
  return loud.map((n) => n.recordUri);
}

async function mutedAmong(client: Client, wanted: readonly Notification[]): Promise<Set<Notification>> {
  const muted = await mutesOf(client, new Set(wanted.map((n) => n.did)));
  if (muted.size === 0) return new Set();
  const threads = new Threads(client);
  await threads.load(wanted.flatMap((n) => n.reasonSubject ?? []));
  return new Set(
    wanted.filter(({ did, reasonSubject, sortAt }) => {
      const subject = reasonSubject === null ? undefined : threads.at(reasonSubject, sortAt);
      return subject && muted.has(`${did} ${subject.root ?? subject.uri}`);
    }),
  );
}

/** Recipient and root, with a space between, of the threads that these accounts have muted. */
async function mutesOf(client: Client, dids: ReadonlySet<string>): Promise<Set<string>> {
  const { rows } = await client.query<{ did: string; root: string }>({
    name: 'thread mutes',
    text: 'SELECT "mutedByDid" AS did, "rootUri" AS root FROM thread_mute WHERE "mutedByDid" = ANY($1)',
    values: [[...dids]],
  });
  return new Set(rows.map(({ did, root }) => `${did} ${root}`));
}

const hush = {
  name: 'notifications hush',
  text: `DELETE FROM notification n
    USING unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS k(did, subject, moment, until)
    WHERE n.did = k.did AND n."reasonSubject" = k.subject AND n."sortAt" >= k.moment
      AND (k.until IS NULL OR n."sortAt" < k.until)`,
};

/** Takes back what was told of posts before it was known in which thread they are: one that their author muted. */
export async function hushMuted(client: Client, spans: readonly Span[]): Promise<void> {
  if (spans.length === 0) return;
  const muted = await mutesOf(client, new Set(spans.map(({ version }) => version.creator)));
  const loud = spans.filter(({ version: { creator, root, uri } }) => muted.has(`${creator} ${root ?? uri}`));
  if (loud.length === 0) return;
  const posts = loud.map(({ version }) => version);
  const values = [posts.map((p) => p.creator), posts.map((p) => p.uri), posts.map((p) => p.moment)];
  await client.query({ ...hush, values: [...values, loud.map(({ until }) => until)] });
}

const removeOf = {
  name: 'notifications delete',
  text: 'DELETE FROM notification WHERE "recordUri" = ANY($1)',
};

/** Removes all that was told of these records. */
export async function removeNotifications(client: Client, records: readonly string[]): Promise<void> {
  if (records.length > 0) await client.query({ ...removeOf, values: [records] });
}

const existing = {
  name: 'notifications of',
  text: `SELECT id, ${columns.map((c) => `"${c}"`).join(', ')} FROM notification WHERE "recordUri" = ANY($1) ORDER BY id`,
};

const removeIds = { name: 'notifications delete by id', text: 'DELETE FROM notification WHERE id = ANY($1)' };

/**
 * Makes the notifications of some records what they should be. Of two that tell the same the first stays, whoever
 * looks.
 *
 * @param records URIs; of these every notification that is not wanted goes
 * @param mayTell whether a missing one of this record is added
 * @param wantedNow says once more, of some of the records, what should be: what is there may have been told for a
 *   reason that came after `wanted` was made out
 * @returns records of which something was told or taken back
 */
export async function reconcileNotifications(
  client: Client,
  records: readonly string[],
  wanted: readonly Notification[],
  mayTell: (record: string) => boolean,
  wantedNow: (records: readonly string[]) => Promise<readonly Notification[]>,
): Promise<string[]> {
  if (records.length === 0) return [];
  const { rows } = await client.query<Told>({ ...existing, values: [records] });
  const first = settle(rows, wanted);
  const doubtful = new Set(first.superfluous.map((row) => row.recordUri));
  const sure = first.missing.filter((n) => !doubtful.has(n.recordUri));
  const among = rows.filter((row) => doubtful.has(row.recordUri));
  const second = settle(among, doubtful.size > 0 ? await wantedNow([...doubtful]) : []);
  const { superfluous } = second;
  if (superfluous.length > 0) {
    await client.query({ ...removeIds, values: [superfluous.map((row) => row.id)] });
  }
  const missing = [...sure, ...second.missing].filter((n) => mayTell(n.recordUri));
  const told = await addNotifications(client, missing);
  return [...told, ...superfluous.map((row) => row.recordUri)];
}

type Told = Notification & { id: string };

/** What is there and not wanted, or there twice, and what is wanted and not there. */
function settle(
  rows: readonly Told[],
  wanted: readonly Notification[],
): { superfluous: Told[]; missing: Notification[] } {
  const missing = new Map(wanted.map((n) => [keyOf(n), n]));
  const superfluous = rows.filter((row) => !missing.delete(keyOf(row)));
  return { superfluous, missing: [...missing.values()] };
}

function keyOf(n: Notification): string {
  return columns.map((column) => n[column]).join('\n');
}
