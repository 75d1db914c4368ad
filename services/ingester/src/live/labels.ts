import { socketUrl, subscribe, type XrpcClient } from '@headwater/xrpc';
import type { LabelSignatures } from '../verify/label-signatures.ts';
import { followInto } from './firehose.ts';
import { type FollowOptions, follow } from './follow.ts';
import { Intake, type IntakeOptions } from './intake.ts';
import { translateLabelFrame } from './label-entries.ts';
import { LabelGate } from './label-gate.ts';
import type { Labeler } from './labeler.ts';

export interface LabelsOptions extends Omit<IntakeOptions, 'feed' | 'translate' | 'gate' | 'onIdentity'> {
  labeler: Labeler;
  /** Absent: labels are believed unsigned. */
  signatures?: LabelSignatures;
  client: XrpcClient;
  idleMs: number;
  pause?: FollowOptions['pause'];
}

/**
 * Follows one labeler's subscribeLabels into `label_live` until the signal
 * aborts. Without a cursor it begins at the labeler's first label: labels are
 * in force until they are taken back, however old.
 */
export async function followLabels(options: LabelsOptions, signal: AbortSignal): Promise<void> {
  const { labeler, signatures, client, idleMs } = options;
  const intake = new Intake({
    ...options,
    feed: 'labels',
    translate: (frame) => translateLabelFrame(frame, labeler.did),
    ...(signatures && { gate: (ready) => new LabelGate(signatures, ready) }),
  });
  await intake.load();
  await followInto(intake, signal, (until) =>
    follow({
      ...options,
      feed: 'labels',
      signal: until,
      open: (ended, onOpen) => {
        const query = { cursor: String(intake.cursor ?? 0) };
        const url = socketUrl(labeler.address, 'com.atproto.label.subscribeLabels', query);
        return subscribe(client, url, { signal: ended, onOpen, idleMs, trusted: labeler.trusted });
      },
      accept: (frames, until) => intake.accept(frames, until),
      onEnd: (err) => intake.onEnd(err),
    }),
  );
}
