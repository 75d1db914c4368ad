import type { KnownRev } from '@headwater/database/fetches';
import type { RepoJob } from '@headwater/events';
import type { IdentityResolver, RepoIdentity } from '@headwater/identity';
import { seam } from '@headwater/ops';
import type { RepoSnapshot } from '@headwater/repo';
import { getLatestCommit, type XrpcClient, XrpcError } from '@headwater/xrpc';
import { type DownloadLimits, download } from './download.ts';
import type { Busy, HostLanes, Lane } from './lanes/host-lanes.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { BackfillerMetrics } from './metrics.ts';
import { covers, isNoted, type Need, needOf } from './need.ts';
import { isTerminal, laneOutcomeOf, type Outcome } from './outcome.ts';
import { Patience } from './patience.ts';
import { type SendContext, sendDifferences } from './send.ts';
import type { Slot, Slots } from './slots.ts';
import type { RepoStore } from './store.ts';

export interface FetchContext extends SendContext {
  store: RepoStore;
  identities: IdentityResolver;
  client: XrpcClient;
  lanes: HostLanes;
  slots: Slots;
  memory: MemoryBudget;
  metrics: BackfillerMetrics;
  download: DownloadLimits;
  /** Fetch whatever is stored. */
  force: boolean;
}

export interface Task {
  job: RepoJob;
  /** The job's entry in `repo_backfill`: logs of all services name it. */
  id: string;
  /** When the job was written, in ms. */
  listedAt: number;
  /** A try failed: the account may have moved meanwhile. */
  again: boolean;
  /** What is under way is to end. */
  signal: AbortSignal;
  /** No fetch is to be begun any more. */
  stopping: AbortSignal;
}

/**
 * One look at one repo, from the job to the last part in the stream.
 *
 *   job ─► is there anything to do? ─► who and where ─► a slot ─► a turn at the host
 *       ─► fetch and verify ─► (turn given back) ─► compare and send
 *
 * Until it has a slot it holds nothing but its place, so that entries of busy
 * or unchanged repos pass quickly.
 *
 * @throws what another try may mend: XrpcError, RepoError, IdentityError, TransientError
 */
export async function fetchRepo(context: FetchContext, task: Task): Promise<Outcome> {
  const { store, identities, lanes, force, metrics } = context;
  const { job, listedAt } = task;
  const known = await store.known(job.did);
  const need = needOf(job, force);
  if (!need.fetch) {
    if (!job.active) {
      const status = job.status ?? 'unknown';
      // The word of a host that the account may have left: worth a question only where we have something to hide.
      const doubtful = job.reason === 'account';
      if (!doubtful && !isNoted(known, status)) await store.inactive(job.did, status, listedAt);
      if (!doubtful || !known || isNoted(known, status)) return { end: 'inactive' };
    }
    const covered = job.rev === '' ? undefined : covers(known, job.rev);
    if (covered) return covered;
  }
  // Who lists it is most often who has it: then nobody need be asked where it is, as long as that host is left alone.
  const busy = task.again ? undefined : lanes.knownBusy(job.host);
  if (busy && busy.busy !== 'given-up') return laterOf(busy);
  try {
    const identity = await metrics.time('identity', () =>
      task.again ? identities.refreshRepo(job.did) : identities.resolveRepo(job.did),
    );
    return await new Fetch(context, task, need, known, identity).run();
  } catch (error) {
    if (!isTerminal(error)) throw error;
    await store.unavailable(job.did, `identity-${error.reason}`);
    const isGone = error.reason === 'tombstoned' || error.reason === 'not-found';
    if (isGone && known) await store.suspectGone(job.did, Date.now());
    return { end: 'unavailable', reason: error.reason };
  }
}

/** The part of a look that needs a slot. */
class Fetch {
  readonly #context: FetchContext;
  readonly #task: Task;
  readonly #need: Need;
  readonly #known: KnownRev | undefined;
  readonly #identity: RepoIdentity;

  constructor(
    context: FetchContext,
    task: Task,
    need: Need,
    known: KnownRev | undefined,
    identity: RepoIdentity,
  ) {
    this.#context = context;
    this.#task = task;
    this.#need = need;
    this.#known = known;
    this.#identity = identity;
  }

  async run(): Promise<Outcome> {
    const outcome = await this.#withSlot();
    if (outcome.end === 'sent') {
      // Others have its slot and its memory by now: so many that are sent are marked at once.
      await this.#context.store.sent(this.#task.job.did, outcome.fetch);
      seam('backfiller:sent-marked');
    }
    return outcome;
  }

  async #withSlot(): Promise<Outcome> {
    const { slots, lanes, metrics } = this.#context;
    const { stopping } = this.#task;
    const { host } = new URL(this.#identity.pds);
    const known = lanes.knownBusy(host);
    if (known) return await this.#withoutTurn(known);
    using slot = await metrics.time('wait', () => slots.take(stopping));
    const turn = await lanes.acquire(host, stopping);
    if ('busy' in turn) return await this.#withoutTurn(turn);
    metrics.inFlight.inc();
    try {
      return await this.#fetchAndSend(turn, slot);
    } finally {
      metrics.inFlight.dec();
    }
  }

  /** Puts the repo off; behind a host that has been silent for hours it is written off until it is listed again. */
  async #withoutTurn(turn: Busy): Promise<Outcome> {
    if (turn.busy !== 'given-up') return laterOf(turn);
    await this.#context.store.unavailable(this.#task.job.did, 'host-unreachable');
    return { end: 'unavailable', reason: 'host-unreachable' };
  }

  async #fetchAndSend(turn: Lane, slot: Slot): Promise<Outcome> {
    const { memory, metrics } = this.#context;
    const { job, signal } = this.#task;
    const startedAt = new Date();
    using share = memory.take();
    const got = await this.#takeTurn(turn, share.bytes, new Patience(slot, signal));
    if ('end' in got) return got;
    seam('backfiller:repo-fetched');
    await using snapshot = got;
    metrics.bytes.inc(snapshot.bytes);
    return await metrics.time('send', () =>
      sendDifferences(snapshot, this.#context, {
        job: this.#task.id,
        startedAt,
        force: this.#need.compare,
        unknown: this.#known === undefined,
        // The lister and the PDS agree that the account is active: what hid it is over.
        showAccount: job.active && this.#known?.accountStatus != null,
        signal,
      }),
    );
  }

  /** Makes the requests of one turn and tells the lane how they went. */
  async #takeTurn(turn: Lane, memoryBytes: number, patience: Patience): Promise<RepoSnapshot | Outcome> {
    await using _turn = turn;
    const startedAt = Date.now();
    try {
      const got = await this.#request(turn, memoryBytes, patience);
      await turn.end('ok');
      return got;
    } catch (error) {
      if (this.#task.signal.aborted) throw error;
      const answer = error instanceof XrpcError ? error : undefined;
      const said = error instanceof Error ? error.message.slice(0, 200) : '';
      const parkedMs = await turn.end(laneOutcomeOf(error), answer?.retryAfterMs, said);
      if (answer?.kind === 'rate-limited') {
        const afterMs = this.#context.lanes.spread(turn.host, parkedMs);
        return { end: 'later', reason: 'rate-limited', afterMs };
      }
      if (answer?.kind === 'terminal') return await this.#settleTerminal(answer, startedAt);
      throw error;
    }
  }

  async #request(turn: Lane, memoryBytes: number, patience: Patience): Promise<RepoSnapshot | Outcome> {
    const { signal, stopping } = this.#task;
    stopping.throwIfAborted();
    const unchanged = await this.#askLatest(turn, patience);
    if (unchanged) return unchanged;
    const { client, identities, metrics, download: limits } = this.#context;
    const identity = this.#identity;
    const options = { client, identities, identity, limits, memoryBytes, patience, signal };
    return await metrics.time('fetch', () => download(options));
  }

  /** For a job without a rev a small question may spare a large answer. */
  async #askLatest(turn: Lane, patience: Patience): Promise<Outcome | undefined> {
    const { job, signal } = this.#task;
    const { state } = this.#known ?? {};
    if (job.rev !== '' || this.#need.fetch || (state !== 'complete' && state !== 'sent')) return undefined;
    const { did, pds } = this.#identity;
    const askedAt = Date.now();
    const { rev } = await patience.wait(getLatestCommit(this.#context.client, pds, did, { signal }));
    await patience.resume();
    const outcome = covers(this.#known, rev);
    if (!outcome) {
      await turn.request(signal);
      return undefined;
    }
    const { store } = this.#context;
    if (job.active && this.#known?.accountStatus != null) await store.active(did, askedAt);
    if (this.#known?.question) await store.answered(did, askedAt);
    return outcome;
  }

  /** The host that has withdrawn a repo may be one that the account has left: a fresh document tells. */
  async #settleTerminal(error: XrpcError, saidAt: number): Promise<Outcome> {
    const { identities, store } = this.#context;
    const { did, pds } = this.#identity;
    const fresh = await identities.refreshRepo(did);
    if (fresh.pds !== pds) return { end: 'later', reason: 'moved', afterMs: 0 };
    const reason = error.errorName ?? 'unavailable';
    await store.unavailable(did, reason, saidAt);
    if (reason === 'RepoNotFound' && this.#known) await store.suspectGone(did, saidAt);
    return { end: 'unavailable', reason };
  }
}

function laterOf({ busy, waitMs }: Busy): Outcome {
  return { end: 'later', reason: `host-${busy}`, afterMs: waitMs };
}
