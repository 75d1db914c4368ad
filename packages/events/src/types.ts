import type { Form } from './form.ts';

/** `seq` of every event that came from a whole fetch (−2 is read as the same). */
export const BACKFILL_SEQ = -1;

/** Where a commit hangs in its repo's history (Sync v1.1). On the first event of a live entry only. */
export interface Links {
  /** rev of the commit before, as the commit event states it; absent from legacy producers. */
  since?: string | null;
  /** MST root CID of the commit before. */
  prevData?: string | null;
  /** MST root CID of this commit. */
  data?: string;
}

/** Which whole fetch an entry belongs to. On the first event of a backfill entry only. */
export interface FetchPart {
  /** Names one fetch of one repo; a second fetch of the same rev has another name. */
  fetch: string;
  /** Index of this entry among the parts of its fetch, from 0. */
  part: number;
  /** The comparison found not one row of the repo: every event is a create. */
  fresh?: boolean;
}

interface Envelope extends Links, Partial<FetchPart> {
  /** Sequence number at its source; negative for backfill. */
  seq: number;
  /** RFC 3339 time at which the source sent it, or at which it was fetched. */
  time: string;
  did: string;
}

interface CommitEnvelope extends Envelope {
  /** CID of the signed commit. */
  commit: string;
  /** TID of the commit. */
  rev: string;
}

export interface RecordEvent extends CommitEnvelope {
  type: 'create' | 'update';
  collection: string;
  rkey: string;
  cid: string;
  /** Lexicon JSON: links as `$link`, bytes as `$bytes`. */
  record: Record<string, unknown>;
  /** Where the record's JSON stands in the entry that was read, if that is known. No field of the entry. */
  [standsAt]?: RecordText | FormText | undefined;
  /** As well of the CID. */
  [cidStandsAt]?: RecordText;
}

/** Symbols, which no entry can hold. */
export const standsAt = Symbol('where a record stands');
export const cidStandsAt = Symbol('where a CID stands');

/**
 * A record's JSON in UTF-8, with its names in the order that JSON.stringify gives them. Without a backslash: who looks
 * for a word in it finds it as it is spelt.
 */
export interface RecordText {
  bytes: Buffer;
  start: number;
  end: number;
}

/** Of a record that is like others but for its texts: what it has alike with them, and where each of its texts stands. */
export interface FormText extends RecordText {
  form: Form;
  /** Beginnings and ends of the texts, in turns. */
  texts: Int32Array;
  /** Where in `texts` those of this record are. */
  from: number;
}

export interface DeleteEvent extends CommitEnvelope {
  type: 'delete';
  collection: string;
  rkey: string;
}

/**
 * Of a backfill: the end of a fetch, with its number of parts. Of the live
 * stream: a commit of which the collection filter left nothing, or a `#sync`.
 */
export interface RepoEvent extends CommitEnvelope {
  type: 'repo';
  /** Number of parts of the fetch, this one included. */
  parts?: number;
  /** True for a `#sync`: a statement of the current commit without its operations. */
  sync?: boolean;
}

export interface AccountEvent extends Envelope {
  type: 'account';
  active: boolean;
  status?: string;
}

export interface IdentityEvent extends Envelope {
  type: 'identity';
  handle?: string;
}

/** Everything that `firehose_live` and `firehose_backfill` carry. */
export type StreamEvent = RecordEvent | DeleteEvent | RepoEvent | AccountEvent | IdentityEvent;

/** com.atproto.label.defs#label; `sig` as `{ "$bytes": base64 }`. */
export interface Label {
  ver?: number;
  src: string;
  uri: string;
  cid?: string;
  val: string;
  neg?: boolean;
  cts: string;
  exp?: string;
  sig?: { $bytes: string };
}

export interface LabelEvent {
  type: 'label';
  seq?: number;
  label: Label;
}

/** One line of an enumeration: a repo to look at. Stream `repo_backfill`, field `repo`. */
export interface RepoJob {
  did: string;
  /** The relay or PDS that listed it. */
  host: string;
  /** The rev that the host listed; empty where it gave none. */
  rev: string;
  status?: string;
  active: boolean;
  /** Why it is looked at: `list` (default), `desync`, `gap`, `refused`, `operator`, `account`. */
  reason?: string;
  /** Fetch and compare even where the stored rev is as new as the listed one. */
  force?: boolean;
  /** When the list was begun, in ms; only of a list that is made because events were missed. */
  look?: number;
}

/** Whether an event came from a whole fetch. */
export function isBackfill(event: { seq: number }): boolean {
  return event.seq < 0;
}
