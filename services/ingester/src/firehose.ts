import type { Logger } from '@headwater/ops';
import type { Redis } from '@headwater/streams';
import { socketUrl, subscribe, type XrpcClient } from '@headwater/xrpc';
import { type Candidate, refused, type TranslateOptions, translateFrame } from './firehose-entries.ts';
import { type FollowOptions, follow } from './follow.ts';
import { Intake, type IntakeOptions } from './intake.ts';
import type { Verifier } from './verify.ts';

export interface FirehoseOptions extends Omit<IntakeOptions, 'feed' | 'translate'> {
  /** The host as in the settings; `host` is its name in keys and entries. */
  address: string;
  client: XrpcClient;
  redis: Redis;
  filter: TranslateOptions['filter'];
  verifier: Verifier;
  idleMs: number;
  batch: FollowOptions['batch'];
  pause?: FollowOptions['pause'];
  log: Logger;
}

/** Follows one relay's subscribeRepos into `firehose_live` until the signal aborts. */
export async function followFirehose(options: FirehoseOptions, signal: AbortSignal): Promise<void> {
  const { address, client, idleMs, verifier, filter, host } = options;
  const intake = new Intake({
    ...options,
    feed: 'firehose',
    translate: async (frames) =>
      verified(
        frames.map((frame) => translateFrame(frame, { host, filter })),
        verifier,
        { host, filter },
      ),
  });
  await intake.load();
  await follow({
    ...options,
    feed: 'firehose',
    signal,
    open: (until, onOpen) => {
      const query = { cursor: intake.cursor?.toString() };
      const url = socketUrl(address, 'com.atproto.sync.subscribeRepos', query);
      const opened = () => {
        intake.connected();
        onOpen();
      };
      return subscribe(client, url, { signal: until, onOpen: opened, idleMs, trusted: true });
    },
    write: (frames, until) => intake.write(frames, until),
    onEnd: (err) => intake.onEnd(err),
  });
}

/** What the verifier refuses loses its entry and is fetched instead. */
async function verified(
  candidates: Candidate[],
  verifier: Verifier,
  options: Pick<TranslateOptions, 'host' | 'filter'>,
): Promise<Candidate[]> {
  const commits = candidates.flatMap(({ commit }) => commit ?? []);
  const verdicts = await verifier.check(commits);
  let next = 0;
  return candidates.map((candidate) => {
    const verdict = candidate.commit ? verdicts[next++] : undefined;
    if (verdict === undefined) return candidate;
    return { ...refused(verdict, options), seq: candidate.seq, time: candidate.time };
  });
}
