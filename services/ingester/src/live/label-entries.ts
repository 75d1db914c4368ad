import { encodeEvents, type Label, type LabelEvent } from '@headwater/events';
import { decodeLabelFrame, LABEL_VERSION, RepoError } from '@headwater/repo';
import type { Outcome } from './feed.ts';

/** Why a label is not taken; the label of metrics and dead letters. */
export type LabelRefusal =
  /** A field lacks or is of a wrong type. */
  | 'bad-label'
  /** It says that it is somebody else's. */
  | 'forged-src'
  | 'bad-version'
  | 'bad-uri'
  | 'bad-val'
  | 'bad-cts'
  /** The newest wins, so one far in the future could never be taken back. */
  | 'future-cts'
  /** It would break the AppView's queries. */
  | 'bad-exp'
  | 'unsigned'
  | 'bad-signature';

/** Labels of a frame that were refused; the frame is kept. */
export class LabelError extends Error {
  override name = 'LabelError';
  reason: LabelRefusal;
  constructor(reason: LabelRefusal, label?: Label) {
    super(label ? `${label.val.slice(0, 128)} of ${label.uri.slice(0, 512)}` : 'not a label');
    this.reason = reason;
  }
}

/**
 * A frame of subscribeLabels as what goes to `label_live`. Labels that are not
 * the labeler's own, or that no reader could use, are left out, counted and
 * kept; never throws for what a frame holds. Signatures are left to the gate.
 *
 * @param src the labeler's DID: nobody else may label through it
 */
export function translateLabelFrame(bytes: Uint8Array, src: string, now = Date.now()): Outcome {
  try {
    const frame = decodeLabelFrame(bytes);
    switch (frame.type) {
      case 'error':
        return { type: 'error', fault: { error: frame.error, message: frame.message } };
      case '#info':
        return { type: 'info', notice: { name: frame.name, message: frame.message } };
      case 'unknown':
        return { type: 'unknown', seq: frame.seq, drops: ['unknown-type'] };
      case '#labels':
        return labels(frame, src, now);
    }
  } catch (err) {
    if (!(err instanceof RepoError)) throw err;
    const seq = Number.isSafeInteger(err.seq) ? err.seq : undefined;
    return { type: 'refused', seq, drops: [err.reason], dead: err };
  }
}

function labels(
  { seq, labels, malformed }: { seq: number; labels: Label[]; malformed: number },
  src: string,
  now: number,
): Outcome {
  const all: LabelEvent[] = labels.map((label) => ({ type: 'label', seq, label }));
  const outcome = { type: 'labels', seq, time: labels.at(-1)?.cts, labels: all };
  const odd = Array.from({ length: malformed }, () => new LabelError('bad-label'));
  return without(outcome, (label) => refusalOf(label, src, now), odd);
}

/** What is left of a frame when labels of it are refused. */
export function without(
  { entry: _, drops = [], dead, labels = [], ...rest }: Outcome,
  refusal: (label: Label, index: number) => LabelRefusal | undefined,
  before: readonly LabelError[] = [],
): Outcome {
  const refusals = labels.map(({ label }, i) => refusal(label, i));
  const good = labels.filter((_, i) => refusals[i] === undefined);
  const errors = [
    ...before,
    ...refusals.flatMap((reason, i) => (reason ? [new LabelError(reason, labels[i]!.label)] : [])),
  ];
  const kept = dead ?? errors[0];
  const all = [...drops, ...errors.map(({ reason }) => reason)];
  return {
    ...rest,
    labels: good,
    ...(good.length > 0 && { entry: encodeEvents(good) }),
    ...(all.length > 0 && { drops: all }),
    ...(kept && { dead: kept }),
  };
}

const dateTime = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,20})?([Zz]|[+-]\d\d:\d\d)$/;
const aheadMs = 24 * 3_600_000;

/** Why a label can't be taken; undefined for a good one. */
function refusalOf(label: Label, src: string, now: number): LabelRefusal | undefined {
  const { src: from, uri, val, cts, exp, ver } = label;
  if (from !== src) return 'forged-src';
  if (ver !== undefined && ver !== LABEL_VERSION) return 'bad-version';
  if (!/^(at:\/\/|did:)/.test(uri) || uri.length > 8192) return 'bad-uri';
  if (val.length > 128 || /\p{Cc}/u.test(val + uri)) return 'bad-val';
  if (!isDateTime(cts)) return 'bad-cts';
  if (Date.parse(cts) > now + aheadMs) return 'future-cts';
  if (exp !== undefined && !isDateTime(exp)) return 'bad-exp';
  return undefined;
}

function isDateTime(text: string): boolean {
  return text.length <= 64 && dateTime.test(text) && !Number.isNaN(Date.parse(text));
}
