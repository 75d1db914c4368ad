/**
 * The events that travel through the streams, and their one codec.
 *
 * Owns: the shape of every stream entry (docs/contracts.md) and the check of
 * what is read back. Refuses to know: Redis, PostgreSQL, lexicons. Holds no
 * state, so a crash can neither repeat nor lose anything here.
 */

export {
  decodeEvents,
  decodeLabels,
  decodeRepoJob,
  encodeEvent,
  encodeEvents,
  encodeRecordEvent,
  encodeRepoJob,
  type Glance,
  glanceAt,
  InvalidEntryError,
} from './codec.ts';
export type { Form } from './form.ts';
export {
  betweenEvents,
  recordEventCid,
  recordEventEnd,
  recordEventHead,
  recordEventTail,
  textOf,
} from './record-text.ts';
export { collectionFilter } from './selection.ts';
export type {
  AccountEvent,
  DeleteEvent,
  FetchPart,
  FormText,
  IdentityEvent,
  Label,
  LabelEvent,
  Links,
  RecordEvent,
  RecordText,
  RepoEvent,
  RepoJob,
  StreamEvent,
} from './types.ts';
export { BACKFILL_SEQ, cidStandsAt, isBackfill, standsAt } from './types.ts';
