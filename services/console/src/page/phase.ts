import { bulkSentence } from '../bulk.ts';
import { finished, type Sample } from './history.ts';
import type { Overview } from './overview.ts';
import type { Listing, RepoCounts } from './repos.ts';
import type { StreamView } from './streams.ts';

export interface Phase {
  name: 'unknown' | 'idle' | 'paused' | 'backfilling' | 'catching up' | 'following';
  sentence: string;
}

export interface Estimate {
  /** Entries that wait to be looked at, on their way or for another try. */
  waiting: number | null;
  running: number | null;
  /** Repos done with a second, over the samples of the last minutes; null where it can't be said. */
  perSecond: number | null;
  etaSeconds: number | null;
  assumption: string;
}

/** Over how long a rate is taken. */
const rateMs = 10 * 60_000;
/** A live stream that is further behind is catching up. */
const behindMs = 60_000;

/** What is going on, in a word and a sentence or two. */
export function phaseOf(figures: Figures): Phase {
  const { name, sentence } = present(figures);
  const bulk = figures.bulk && bulkSentence(figures.bulk);
  return { name, sentence: bulk ? `${sentence} ${bulk}` : sentence };
}

type Figures = Pick<Overview, 'pauses' | 'live' | 'streams' | 'repos' | 'listings' | 'bulk'>;

function present({ pauses, live, streams, repos, listings }: Figures): Phase {
  if (!streams || !live) return { name: 'unknown', sentence: 'Redis could not be looked at.' };
  const paused = Object.keys(pauses ?? {});
  if (paused.length > 0) {
    return { name: 'paused', sentence: `By an operator: ${paused.join(', ')}. The rest goes on.` };
  }
  const waiting = streams
    .filter(({ stream }) => stream.startsWith('repo_backfill') || stream === 'firehose_backfill')
    .reduce((sum, { length, parked }) => sum + length + parked, 0);
  const isListing = (listings ?? []).some(({ state }) => state === 'listing');
  const relays = live.filter(({ feed }) => feed === 'firehose');
  const isFollowed = relays.some(({ followed }) => followed);
  if (waiting > 0 || isListing) {
    const beside = isFollowed ? ' The live stream is followed beside it.' : '';
    const left = repos?.estimate.waiting;
    const many = typeof left === 'number' ? `${left.toLocaleString('en')} repos wait.` : 'Repos wait.';
    return { name: 'backfilling', sentence: many + beside };
  }
  if (!isFollowed) return { name: 'idle', sentence: 'No ingester follows a relay at present.' };
  const lag = Math.max(...relays.map(({ lagMs }) => lagMs ?? 0));
  const entries = streams.find(({ stream }) => stream === 'firehose_live')?.length ?? 0;
  if (entries > 1000 && lag > behindMs) {
    return { name: 'catching up', sentence: 'The live stream is behind, and is being read.' };
  }
  return { name: 'following', sentence: 'The backfill is done and the live stream is followed.' };
}

/** How long the backfill still takes, as far as it can be told. */
export function estimate(
  counts: RepoCounts,
  streams: StreamView[] | null,
  listings: Listing[] | null,
  samples: readonly Sample[],
): Estimate {
  const jobs = streams?.filter(({ stream }) => stream.startsWith('repo_backfill'));
  const waiting = jobs ? jobs.reduce((sum, { length, parked }) => sum + length + parked, 0) : null;
  const running = jobs ? jobs.reduce((sum, { pending }) => sum + pending, 0) : null;
  const perSecond = rateOf(samples, finished(counts.byState), Date.parse(counts.countedAt));
  const eta = waiting !== null && perSecond !== null && perSecond > 0 ? waiting / perSecond : null;
  const open = (listings ?? []).some(({ state }) => state !== 'done');
  const assumption = open
    ? 'if no more repos were listed than wait now; the list is not through yet, so it will be more'
    : 'if it goes on at the rate of the last ten minutes';
  return { waiting, running, perSecond, etaSeconds: waiting === 0 ? 0 : eta, assumption };
}

function rateOf(samples: readonly Sample[], done: number, at: number): number | null {
  const first = samples.find((sample) => sample.done !== null && sample.at >= at - rateMs);
  if (!first || at - first.at < 5_000) return null;
  return Math.max(0, (done - first.done!) / ((at - first.at) / 1000));
}
