import type { LabelEvent, RepoJob } from '@headwater/events';
import type { Fields } from '@headwater/streams';
import type { Statement } from '../verify/verifier.ts';
import type { Claim } from './doubles.ts';

/** What one frame comes to. A frame always ends in exactly one of: an entry, a counted drop, a notice, a fault. */
export interface Outcome {
  /** Type of the event, for the count. */
  type: string;
  seq?: number | undefined;
  /** Time of the event as its source states it. */
  time?: string | undefined;
  entry?: Fields;
  /** Whose event it is: those of one repo stay in order. */
  did?: string;
  /** A signed statement, to be verified before the entry is believed; gone when it has been looked at. */
  statement?: Statement;
  /** The labels of the entry, to be verified before it is believed; gone when they have been looked at. */
  labels?: LabelEvent[];
  /** Of a statement: what names it. */
  at?: { rev: string; commit: string };
  /** The first copy of it that has come. */
  claim?: Claim;
  /** Another copy of it is on its way already: nothing to do but to wait for that one. */
  behind?: Claim;
  /** Why there is no entry, or not all of one: a reason for everything left out. */
  drops?: string[];
  /** The frame is kept among the dead letters, with this error. */
  dead?: Error;
  /** A repo that is out of step and has to be fetched. */
  repair?: RepoJob;
  /** A DID whose document has changed. */
  identity?: string;
  /** `#info`: the host has something to say. */
  notice?: { name: string; message: string | undefined };
  /** An error frame: the host is about to close the connection. */
  fault?: { error: string; message: string | undefined };
}

/** The host sent an error frame; the connection is over. */
export class FeedFaultError extends Error {
  override name = 'FeedFaultError';
  /** `FutureCursor`, `ConsumerTooSlow`, … */
  fault: string;
  constructor(fault: string, message: string | undefined) {
    super(`the host says ${fault}${message ? `: ${message}` : ''}`);
    this.fault = fault;
  }
}

/** A time that a host states, kept as it is if it is one, else now. */
export function stated(time: string, now = Date.now()): string {
  const good = time.length <= 40 && /^\d{4}-\d\d-\d\dT/.test(time) && !Number.isNaN(Date.parse(time));
  return good ? time : new Date(now).toISOString();
}

/** Whether a text has the form of a DID (its specification, without its method's rules). */
export function isDid(text: string): boolean {
  return text.length <= 2048 && /^did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]$/.test(text);
}
