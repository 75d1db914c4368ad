import type { Logger } from '@headwater/ops';
import type { Redis } from '@headwater/streams';
import { socketUrl, subscribe, type XrpcClient } from '@headwater/xrpc';
import type { Verifier } from '../verify/verifier.ts';
import { notBelieved, type TranslateOptions, translateFrame } from './firehose-entries.ts';
import { type FollowOptions, follow } from './follow.ts';
import { Gate, type GateOptions } from './gate.ts';
import { Intake, type IntakeOptions } from './intake.ts';

export interface FirehoseOptions extends Omit<IntakeOptions, 'feed' | 'translate' | 'gate'> {
  /** The host as in the settings; `host` is its name in keys and entries. */
  address: string;
  client: XrpcClient;
  redis: Redis;
  filter: TranslateOptions['filter'];
  verifier: Verifier;
  idleMs: number;
  pause?: FollowOptions['pause'];
  log: Logger;
}

/** Follows one relay's subscribeRepos into `firehose_live` until the signal aborts. */
export async function followFirehose(options: FirehoseOptions, signal: AbortSignal): Promise<void> {
  const { address, client, idleMs, verifier, filter, host, doubles, metrics } = options;
  const intake = new Intake({
    ...options,
    feed: 'firehose',
    translate: (frame) => translateFrame(frame, { host, filter, ...(doubles && { doubles }) }),
    gate: (ready) => {
      const gate = new Gate({ verifier, metrics, ready, refused: refusalOf(options) });
      metrics.waiting(host, () => gate.waiting);
      return gate;
    },
    onIdentity: (did) => verifier.drop(did),
  });
  await intake.load();
  await followInto(intake, signal, (until) =>
    follow({
      ...options,
      feed: 'firehose',
      signal: until,
      open: (ended, onOpen) => {
        const query = { cursor: intake.cursor?.toString() };
        const url = socketUrl(address, 'com.atproto.sync.subscribeRepos', query);
        const opened = () => {
          intake.connected();
          onOpen();
        };
        return subscribe(client, url, { signal: ended, onOpen: opened, idleMs, trusted: true });
      },
      accept: (frames, until) => intake.accept(frames, until),
      onEnd: (err) => intake.onEnd(err),
    }),
  );
}

/**
 * Reads and writes side by side; when either fails both end.
 *
 * @throws what made either of them fail
 */
export async function followInto(
  intake: Intake,
  signal: AbortSignal,
  read: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const ended = new AbortController();
  const both = AbortSignal.any([signal, ended.signal]);
  const writing = intake.run(both).catch((err: unknown) => ended.abort(err));
  try {
    await read(both);
    if (ended.signal.aborted && !signal.aborted) throw ended.signal.reason;
  } finally {
    ended.abort();
    intake.end();
    await writing;
  }
}

/** What is refused loses its entry; its repo is looked at instead. */
function refusalOf({ host, doubles }: FirehoseOptions): GateOptions['refused'] {
  return ({ outcome }, { refused }) => {
    const { type, seq, time, did, at, claim } = outcome;
    if (claim) doubles?.refused(claim);
    const place = { seq: seq!, time: time!, did: did!, ...at! };
    return { type, seq, time, did: did!, ...notBelieved(place, refused, { host }) };
  };
}
