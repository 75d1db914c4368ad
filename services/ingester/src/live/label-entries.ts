import { encodeEvents, type Label, type LabelEvent } from '@headwater/events';
import { decodeLabelFrame, RepoError } from '@headwater/repo';
import type { Outcome } from './feed.ts';

/**
 * A frame of subscribeLabels as what goes to `label_live`. Labels that are not
 * the labeler's own, or that no reader could use, are left out and counted;
 * never throws for what a frame holds.
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
  const events: LabelEvent[] = [];
  const drops: string[] = Array(malformed).fill('bad-label');
  for (const label of labels) {
    const refusal = refusalOf(label, src, now);
    if (refusal === undefined) events.push({ type: 'label', seq, label });
    else drops.push(refusal);
  }
  return {
    type: 'labels',
    seq,
    time: events.at(-1)?.label.cts,
    ...(events.length > 0 && { entry: encodeEvents(events) }),
    ...(drops.length > 0 && { drops }),
  };
}

const dateTime = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,20})?([Zz]|[+-]\d\d:\d\d)$/;
const aheadMs = 24 * 3_600_000;

/** Why a label can't be taken; undefined for a good one. A malformed `exp` would break the AppView's queries. */
function refusalOf({ src: from, uri, val, cts, exp }: Label, src: string, now: number): string | undefined {
  if (from !== src) return 'forged-src';
  if (!/^(at:\/\/|did:)/.test(uri) || uri.length > 8192) return 'bad-uri';
  if (val.length > 128 || /\p{Cc}/u.test(val + uri)) return 'bad-val';
  if (!isDateTime(cts)) return 'bad-cts';
  // The newest wins, so one far in the future could never be taken back.
  if (Date.parse(cts) > now + aheadMs) return 'future-cts';
  if (exp !== undefined && !isDateTime(exp)) return 'bad-exp';
  return undefined;
}

function isDateTime(text: string): boolean {
  return text.length <= 64 && dateTime.test(text) && !Number.isNaN(Date.parse(text));
}
