import { parseJson } from './escaped-keys.ts';
import { AlikeEvent, readList } from './event-list.ts';
import type { Label, LabelEvent, RecordEvent, RepoJob, StreamEvent } from './types.ts';

/** Why an entry can't be read. `reason` is the metric's and the dead letter's label. */
export class InvalidEntryError extends Error {
  override name = 'InvalidEntryError';
  reason: 'no-field' | 'not-json' | 'bad-field' | 'unknown-type';
  constructor(reason: InvalidEntryError['reason'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

type Fields = Record<string, string>;
/** Of an entry that was read; bytes are UTF-8. */
type ReadFields = Record<string, string | Buffer>;
type Shape = Record<string, unknown>;

/** One event as the fields of a stream entry. */
export function encodeEvent(event: StreamEvent | LabelEvent): Fields {
  return { event: JSON.stringify(event) };
}

/** Several events of one repo as the fields of one entry; a single one goes under `event`. */
export function encodeEvents(events: readonly (StreamEvent | LabelEvent)[]): Fields {
  return events.length === 1 ? encodeEvent(events[0]!) : { events: JSON.stringify(events) };
}

/**
 * A create or update whose record is JSON text already, without parsing it
 * again. The text must be valid JSON: it is spliced in as it is.
 */
export function encodeRecordEvent(event: Omit<RecordEvent, 'record'>, recordJson: string): string {
  return `${JSON.stringify(event).slice(0, -1)},"record":${recordJson}}`;
}

/** A repo to look at, as the fields of an entry of `repo_backfill`. */
export function encodeRepoJob(job: RepoJob): Fields {
  return { repo: JSON.stringify(job) };
}

/**
 * Reads an entry of `firehose_live` or `firehose_backfill`.
 *
 * @throws InvalidEntryError when a field is missing, is not JSON or of a wrong type
 */
export function decodeEvents(fields: ReadFields): StreamEvent[] {
  return list(fields).map(checkEvent);
}

/** What can be told of an entry without parsing it. */
export interface Glance {
  /** Whose its first event is, as far as the text tells; empty if it does not. */
  did: string;
  /** About how many events it has, 1 at least. */
  events: number;
}

const firstDid = /"did":"([^"\\]*)"/;
/** Of a longer text so much is looked at: some ten events, from which the number of all is told. */
const glanceChars = 8192;
const inEachCommit = '"rev":';

/** Looks at an entry of `firehose_live` or `firehose_backfill`, for who has to do with many before they are read. */
export function glanceAt(fields: ReadFields): Glance {
  const all = fields.event ?? fields.events ?? '';
  const text = typeof all === 'string' ? all : all.toString('latin1', 0, glanceChars);
  const looked = Math.min(all.length, glanceChars);
  let events = 0;
  for (let at = 0; ; events++) {
    at = text.indexOf(inEachCommit, at) + inEachCommit.length;
    if (at < inEachCommit.length || at > looked) break;
  }
  if (looked < all.length) events = Math.round(events * (all.length / looked));
  return { did: firstDid.exec(text)?.[1] ?? '', events: Math.max(1, events) };
}

/**
 * Reads an entry of `label_live`.
 *
 * @throws InvalidEntryError as decodeEvents
 */
export function decodeLabels(fields: ReadFields): LabelEvent[] {
  return list(fields).map(checkLabel);
}

/**
 * Reads an entry of `repo_backfill`.
 *
 * @throws InvalidEntryError as decodeEvents
 */
export function decodeRepoJob(fields: ReadFields): RepoJob {
  const job = asObject(parse(fields, 'repo'));
  need(job, 'did', 'string');
  if (!(job.did as string).startsWith('did:')) bad('did', 'a DID', job.did);
  return {
    ...job,
    did: job.did as string,
    host: text(job.host),
    rev: text(job.rev),
    active: job.active !== false,
  };
}

function list(fields: ReadFields): Shape[] {
  if (fields.event !== undefined) return [asObject(parse(fields, 'event'))];
  if (fields.events === undefined) {
    throw new InvalidEntryError('no-field', 'the entry has neither a field `event` nor `events`');
  }
  const { events: bytes } = fields;
  const events = (typeof bytes === 'object' && readList(bytes)) || parse(fields, 'events');
  if (!Array.isArray(events) || events.length === 0) bad('events', 'a list of events', events);
  return (events as unknown[]).map((e) => asObject(e));
}

function parse(fields: ReadFields, name: string): unknown {
  const value = fields[name];
  if (value === undefined) throw new InvalidEntryError('no-field', `the entry has no field \`${name}\``);
  try {
    return parseJson(value.toString());
  } catch (cause) {
    throw new InvalidEntryError('not-json', `field \`${name}\` is not JSON`, { cause });
  }
}

function checkEvent(e: Shape): StreamEvent {
  // What it says was checked in the event that it is like, but for texts that are none but texts.
  if (e instanceof AlikeEvent) return e;
  need(e, 'did', 'string');
  if (!(e.did as string).startsWith('did:')) bad('did', 'a DID', e.did);
  need(e, 'time', 'string');
  if (e.seq === undefined && e.type === 'repo') e.seq = -1;
  if (!Number.isSafeInteger(e.seq)) bad('seq', 'an integer', e.seq);
  switch (e.type) {
    case 'create':
    case 'update':
      need(e, 'cid', 'string');
      asObject(e.record, 'record');
      checkPath(e);
      break;
    case 'delete':
      checkPath(e);
      break;
    case 'repo':
      checkCommit(e);
      break;
    case 'account':
      need(e, 'active', 'boolean');
      if (e.status != null) need(e, 'status', 'string');
      break;
    case 'identity':
      if (e.handle != null) need(e, 'handle', 'string');
      break;
    default:
      throw new InvalidEntryError('unknown-type', `unknown type ${show(e.type)}`);
  }
  return e as unknown as StreamEvent;
}

function checkCommit(e: Shape): void {
  need(e, 'rev', 'string');
  need(e, 'commit', 'string');
}

function checkPath(e: Shape): void {
  checkCommit(e);
  need(e, 'collection', 'string');
  need(e, 'rkey', 'string');
}

function checkLabel(e: Shape): LabelEvent {
  if (e.type !== 'label') throw new InvalidEntryError('unknown-type', `unknown type ${show(e.type)}`);
  const label = asObject(e.label, 'label');
  for (const key of ['src', 'uri', 'val', 'cts']) need(label, key, 'string');
  for (const key of ['cid', 'exp']) if (label[key] != null) need(label, key, 'string');
  if (label.neg != null) need(label, 'neg', 'boolean');
  return { type: 'label', seq: e.seq as number | undefined, label: label as unknown as Label };
}

function asObject(value: unknown, name = 'the event'): Shape {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) bad(name, 'an object', value);
  return value as Shape;
}

function need(e: Shape, key: string, type: 'string' | 'boolean'): void {
  const value = e[key];
  const is: string = typeof value;
  if (is !== type || value === '') bad(key, `a ${type}`, value);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function bad(name: string, wanted: string, value: unknown): never {
  throw new InvalidEntryError('bad-field', `\`${name}\` should be ${wanted}, is ${show(value)}`);
}

function show(value: unknown): string {
  const s = JSON.stringify(value) ?? 'missing';
  return s.length > 60 ? `${s.slice(0, 60)}…` : s;
}
