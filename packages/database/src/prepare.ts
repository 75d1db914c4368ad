import type { Links, RecordText, StreamEvent } from '@headwater/events';
import { isBackfill, standsAt, textOf } from '@headwater/events';
import { type Collection, type RecordInput, RefusedError } from './collections/collection.ts';
import { collections } from './collections/index.ts';
import type { Row, Value } from './copy.ts';
import { indexedAt } from './dates.ts';
import { mentionsOf } from './derived/mentions.ts';
import { postNsid } from './derived/uris.ts';
import { specOf, type TableName } from './tables.ts';
import { type Refusal, validateRecord } from './validate.ts';

/** A row that its record owns, and the table it belongs to. */
export type OwnedRow = readonly [table: TableName, row: Row];

/** One version of a record, ready to be written. */
export interface Version {
  uri: string;
  did: string;
  /** NSID of its collection. */
  nsid: string;
  /** Absent for a collection that has no rows of its own. */
  collection?: Collection | undefined;
  cid: string;
  rev: string;
  indexedAt: string;
  /** From a whole fetch: no news to anybody. */
  backfilled: boolean;
  /** The record as it came, as text: what it was parsed to would live as long as its batch. */
  json: RecordText | string;
  /** The DIDs that a post's facets mention, in their order. */
  mentions: readonly string[];
  /** Every row but that of `record`, made by the collection's builder. */
  rows: readonly OwnedRow[];
}

/** What an entry says of one record: this version, or that it is gone. */
export interface Op {
  uri: string;
  /** NSID of its collection. */
  nsid: string;
  did: string;
  rev: string;
  live: boolean;
  /** It says that there was a version before. */
  update: boolean;
  /** null: deleted, or refused, which comes to the same. */
  version: Version | null;
}

export interface Refused extends Refusal {
  collection: string;
  uri: string;
  rev: string;
  json: string;
}

export interface AccountState {
  active: boolean;
  status: string | null;
  /** Milliseconds since 1970. */
  time: number;
}

/** One stream entry, checked and with its rows made: all that needs no database. */
export interface Entry {
  did: string;
  live: boolean;
  /** Absent for an entry of account or identity events alone. */
  commit?: { rev: string; cid: string; sync: boolean; links: Links } | undefined;
  /** Which part of which fetch. */
  part?: { fetch: string; part: number; fresh: boolean } | undefined;
  /** The last part says how many there are. */
  end?: { parts: number; data: string | null } | undefined;
  ops: Op[];
  account?: AccountState | undefined;
  /** When an identity event was sent: the handle must be verified again. */
  identity?: number | undefined;
  refused: Refused[];
  /** Events left out, by reason. */
  drops: string[];
}

export interface PrepareOptions {
  /** Whether a collection is wanted. */
  keep(nsid: string): boolean;
  now: number;
}

const nobody: readonly string[] = [];

const didSyntax = /^did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]$/;
const nsidSyntax = /^[a-zA-Z][a-zA-Z0-9.-]{2,316}$/;
const rkeySyntax = /^(?!\.\.?$)[a-zA-Z0-9._:~-]{1,512}$/;
const revSyntax = /^[2-7a-j][2-7a-z]{12}$/;

/** Longer than any DID in use; longer ones could not be indexed together with a URI. */
const maxDidLength = 512;

/** Turns the events of one stream entry into what the writer works with: one `Entry` for each repo named. */
export function prepare(events: readonly StreamEvent[], options: PrepareOptions): Entry[] {
  const byDid = new Map<string, Entry>();
  for (const event of events) {
    let entry = byDid.get(event.did);
    if (!entry) {
      entry = { did: event.did, live: !isBackfill(event), ops: [], refused: [], drops: [] };
      byDid.set(event.did, entry);
    }
    take(entry, event, options);
  }
  return [...byDid.values()].filter((entry) => didSyntax.test(entry.did) && entry.did.length <= maxDidLength);
}

function take(entry: Entry, event: StreamEvent, options: PrepareOptions): void {
  if (event.fetch !== undefined && event.part !== undefined) {
    entry.part = { fetch: event.fetch, part: event.part, fresh: event.fresh === true };
  }
  switch (event.type) {
    case 'account':
      entry.account = {
        active: event.active,
        status: event.status ?? null,
        time: timeOf(event.time, options.now),
      };
      return;
    case 'identity':
      entry.identity = timeOf(event.time, options.now);
      return;
    case 'repo':
      takeCommit(entry, event);
      if (event.parts !== undefined) entry.end = { parts: event.parts, data: event.data ?? null };
      return;
    default:
      if (!takeCommit(entry, event)) return;
      takeRecord(entry, event, options);
  }
}

function timeOf(time: string, now: number): number {
  return Date.parse(indexedAt(time, now));
}

/** @returns false when the event can't be placed in time */
function takeCommit(entry: Entry, event: Extract<StreamEvent, { rev: string }>): boolean {
  if (!revSyntax.test(event.rev)) {
    entry.drops.push('bad-rev');
    return false;
  }
  if (!entry.commit || event.rev > entry.commit.rev) {
    const { since, prevData, data } = event;
    const links = entry.commit?.links ?? { since, prevData, data };
    const sync = event.type === 'repo' && event.sync === true;
    entry.commit = { rev: event.rev, cid: event.commit, sync, links };
  }
  return true;
}

type RecordOrDelete = Extract<StreamEvent, { collection: string }>;

function takeRecord(entry: Entry, event: RecordOrDelete, options: PrepareOptions): void {
  const { rkey } = event;
  const nsid = onlyCopy(event.collection);
  if (!options.keep(nsid)) return void entry.drops.push('collection');
  if (!nsidSyntax.test(nsid) || !rkeySyntax.test(rkey)) return void entry.drops.push('bad-path');
  const { did } = entry;
  const rev = event.rev === entry.commit?.rev ? entry.commit.rev : event.rev;
  const uri = `at://${did}/${nsid}/${rkey}`;
  const update = event.type === 'update';
  const op: Op = { uri, nsid, did, rev, live: entry.live, update, version: null };
  entry.ops.push(op);
  if (event.type === 'delete') return;
  const json = event[standsAt] ?? JSON.stringify(event.record);
  const version: Version = {
    uri,
    did,
    nsid,
    collection: collections.get(nsid),
    cid: event.cid,
    rev,
    indexedAt: indexedAt(event.time, options.now),
    backfilled: !entry.live,
    json,
    mentions: nobody,
    rows: [],
  };
  const refusal = buildRows(version, event.record);
  if (refusal) {
    entry.refused.push({ ...refusal, collection: nsid, uri, rev, json: textOf(json).slice(0, 4096) });
    return;
  }
  if (nsid === postNsid) version.mentions = mentionsOf(event.record);
  op.version = version;
}

/**
 * A collection's name as one text for all records. What is held of a batch lives through V8's collections, each of
 * which costs by the number of objects: so no event keeps a text of its own that others have too.
 */
function onlyCopy(nsid: string): string {
  return collections.get(nsid)?.nsid ?? nsid;
}

/** Fills `version.rows` by its collection's builder. @returns why it can't be indexed, or null */
export function buildRows(version: Version, record: Record<string, unknown>): Refusal | null {
  const { collection, uri, did, cid, indexedAt } = version;
  if (!collection) return unfit('record', [uri]) ?? null;
  const refusal = validateRecord(collection, record);
  if (refusal) return refusal;
  try {
    version.rows = rowsOf(collection, { uri, did, cid, record, indexedAt });
  } catch (err) {
    const reason = err instanceof RefusedError ? err.reason : 'unexpected';
    return { reason, detail: (err as Error).message };
  }
  for (const [table, row] of version.rows) {
    const refused = unfit(table, row);
    if (refused) return refused;
  }
  return null;
}

/** The rows of a record that is known to be valid. */
export function rowsOf(collection: Collection, input: Omit<RecordInput, 'rkey'>): OwnedRow[] {
  const rows: OwnedRow[] = [];
  const { uri, did, cid, record, indexedAt } = input;
  const rkey = uri.slice(uri.lastIndexOf('/') + 1);
  collection.build({ uri, did, rkey, cid, record, indexedAt }, (table, row) => rows.push([table, row]));
  return rows;
}

/**
 * PostgreSQL refuses index entries above 2,704 bytes. All our indexed columns
 * but texts are ASCII by syntax, so their lengths are bytes.
 */
const maxIndexed = 2_500;
const unindexed = new Set([
  'text',
  'description',
  'descriptionFacets',
  'displayName',
  'name',
  'langs',
  'tags',
  'alt',
  'title',
]);

function unfit(table: string, row: readonly Value[]): Refusal | null {
  let total = 0;
  for (const value of row) {
    if (typeof value === 'string') total += value.length;
    else if (value !== null) return { reason: 'not-text', detail: `${typeof value} for ${table}` };
  }
  if (total <= maxIndexed) return null;
  const columns = table === 'record' ? ['uri'] : specOf(table as TableName).columns;
  const external = table === 'post_embed_external';
  let indexed = 0;
  columns.forEach((column, i) => {
    const value = row[i];
    if (typeof value !== 'string' || unindexed.has(column) || (external && column === 'uri')) return;
    indexed += value.length;
  });
  return indexed <= maxIndexed
    ? null
    : { reason: 'too-wide', detail: `${indexed} bytes of keys for ${table}` };
}
