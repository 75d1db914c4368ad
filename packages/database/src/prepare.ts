import {
  cidStandsAt,
  isBackfill,
  type Links,
  type RecordEvent,
  type StreamEvent,
  standsAt,
  textOf,
} from '@headwater/events';
import { type Collection, type RecordInput, RefusedError } from './collections/collection.ts';
import { collections } from './collections/index.ts';
import { indexedAt } from './dates.ts';
import { mentionsOf } from './derived/mentions.ts';
import { postNsid } from './derived/uris.ts';
import { cellOf, type PackedRow, type RowPacker, type Value } from './packed-rows.ts';
import { plainRecord } from './plain-records.ts';
import { specOf, type TableName } from './tables.ts';
import { type Refusal, validateRecord } from './validate.ts';

/** A row that its record owns. */
export type OwnedRow = PackedRow<TableName>;

/** One version of a record, ready to be written. What is in its rows is nowhere else: see RowPacker. */
export class Version {
  readonly uri: string;
  readonly did: string;
  /** NSID of its collection. */
  readonly nsid: string;
  readonly rev: string;
  readonly indexedAt: string;
  /** From a whole fetch: no news to anybody. */
  readonly backfilled: boolean;
  /** The DIDs that a post's facets mention, in their order. */
  readonly mentions: readonly string[];
  /** Its row of `record`. */
  readonly record: PackedRow;
  /** Every other row, made by the collection's builder. */
  readonly rows: readonly OwnedRow[];

  constructor(op: Op, indexedAt: string, mentions: readonly string[], record: PackedRow, rows: OwnedRow[]) {
    this.uri = op.uri;
    this.did = op.did;
    this.nsid = op.nsid;
    this.rev = op.rev;
    this.indexedAt = indexedAt;
    this.backfilled = !op.live;
    this.mentions = mentions;
    this.record = record;
    this.rows = rows;
  }

  get cid(): string {
    return cellOf(this.record, 'cid')!;
  }

  /** Absent for a collection that has no rows of its own. */
  get collection(): Collection | undefined {
    return collections.get(this.nsid);
  }
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
  /** Takes the rows. */
  packer: RowPacker;
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
  if (entry.commit && event.rev === entry.commit.rev) return true;
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
  const { did } = entry;
  const { nsid, prefix, kept, isNsid } = collectionIn(did, event.collection, options);
  if (!kept) return void entry.drops.push('collection');
  if (!isNsid || !rkeySyntax.test(rkey)) return void entry.drops.push('bad-path');
  const rev = event.rev === entry.commit?.rev ? entry.commit.rev : event.rev;
  const uri = prefix + rkey;
  const update = event.type === 'update';
  const op: Op = { uri, nsid, did, rev, live: entry.live, update, version: null };
  entry.ops.push(op);
  if (event.type === 'delete') return;
  op.version = versionOf(op, event, options, entry);
}

/** A collection of one repo. */
interface RepoCollection {
  did: string;
  options: PrepareOptions;
  named: string;
  nsid: string;
  /** Of the URIs of its records. */
  prefix: string;
  kept: boolean;
  isNsid: boolean;
}

let last: RepoCollection | undefined;

/** What is the same for the records of one collection, of which a fetch brings many in a row. */
function collectionIn(did: string, named: string, options: PrepareOptions): RepoCollection {
  if (last?.named === named && last.did === did && last.options === options) return last;
  const nsid = onlyCopy(named);
  const prefix = `at://${did}/${nsid}/`;
  last = { did, options, named, nsid, prefix, kept: options.keep(nsid), isNsid: nsidSyntax.test(nsid) };
  return last;
}

/** @returns null for a record that is refused, which is noted in `entry` */
function versionOf(op: Op, event: RecordEvent, options: PrepareOptions, entry: Entry): Version | null {
  const { uri, nsid, did, rev } = op;
  const { packer } = options;
  const at = indexedAt(event.time, options.now);
  const stands = event[standsAt];
  const json = stands ?? JSON.stringify(event.record);
  const cid = event[cidStandsAt] ?? event.cid;
  // In JSON a NUL is written with a backslash.
  const plain = stands !== undefined;
  const collection = collections.get(nsid);
  const known = stands && 'form' in stands ? plainRecord(nsid, stands) : undefined;
  const input = { uri, did, rkey: event.rkey, cid, record: known ?? event.record, indexedAt: at };
  const rows = checkedRows(collection, input, packer, { plain, valid: known !== undefined });
  if (!Array.isArray(rows)) {
    entry.refused.push({ ...rows, collection: nsid, uri, rev, json: textOf(json).slice(0, 4096) });
    return null;
  }
  const mentions = nsid === postNsid ? mentionsOf(event.record) : nobody;
  const row = packer.pack('record', [uri, cid, did, at, rev, json], plain);
  return new Version(op, at, mentions, row, rows);
}

/**
 * A collection's name as one text for all records. What is held of a batch lives through V8's collections, each of
 * which costs by the number of objects: so no event keeps a text of its own that others have too.
 */
function onlyCopy(nsid: string): string {
  return collections.get(nsid)?.nsid ?? nsid;
}

/** The rows of a record beside that of `record`, or why it can't be indexed. */
function checkedRows(
  collection: Collection | undefined,
  input: RecordInput,
  packer: RowPacker,
  { plain, valid }: { plain: boolean; valid: boolean },
): OwnedRow[] | Refusal {
  const refusal =
    unfit('record', [input.uri]) ?? (collection && !valid ? validateRecord(collection, input.record) : null);
  if (refusal) return refusal;
  try {
    return collection ? rowsOf(collection, input, packer, plain) : [];
  } catch (err) {
    const reason = err instanceof RefusedError ? err.reason : 'unexpected';
    return { reason, detail: (err as Error).message };
  }
}

/**
 * The rows of a record that is known to be valid.
 *
 * @param plain no text in it is known to hold NUL
 * @throws RefusedError
 */
export function rowsOf(
  collection: Collection,
  input: RecordInput,
  packer: RowPacker,
  plain = false,
): OwnedRow[] {
  sink = { packer, plain, rows: undefined };
  collection.build(input, emit);
  return sink.rows ?? [];
}

/** Where the rows go that are being made: nothing is waited for meanwhile. */
let sink: { packer: RowPacker; plain: boolean; rows: OwnedRow[] | undefined };

function emit(table: TableName, row: readonly Value[]): void {
  const refusal = unfit(table, row);
  if (refusal) throw new RefusedError(refusal.reason, refusal.detail);
  const packed = sink.packer.pack(table, row, sink.plain);
  // Most records have one: a list that grows would have room for sixteen more.
  if (sink.rows) sink.rows.push(packed);
  else sink.rows = [packed];
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
    else if (value !== null && Buffer.isBuffer(value.bytes)) total += value.end - value.start;
    else if (value !== null) return { reason: 'not-text', detail: `${typeof value} for ${table}` };
  }
  if (total <= maxIndexed) return null;
  const columns = table === 'record' ? ['uri'] : specOf(table as TableName).columns;
  const external = table === 'post_embed_external';
  let indexed = 0;
  columns.forEach((column, i) => {
    const value = row[i];
    if (value == null || unindexed.has(column) || (external && column === 'uri')) return;
    indexed += typeof value === 'string' ? value.length : value.end - value.start;
  });
  return indexed <= maxIndexed
    ? null
    : { reason: 'too-wide', detail: `${indexed} bytes of keys for ${table}` };
}
