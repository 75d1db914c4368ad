import { setImmediate } from 'node:timers/promises';
import type { StreamEvent } from '@headwater/events';
import { seam } from '@headwater/ops';
import { noteDepartures } from './accounts.ts';
import { addActors, requestHandles, writeStatuses, writeSync } from './actors.ts';
import { Counts } from './counts.ts';
import { planEntry, type Repo } from './decide.ts';
import { deadlockTries, follow } from './follow.ts';
import { cellOf, RowPacker } from './packed-rows.ts';
import { type Client, inTransaction, isTransient, type Pool, sqlState } from './pool.ts';
import { type Entry, type Op, type PrepareOptions, prepare } from './prepare.ts';
import { sampleRefused } from './refused.ts';
import { lockRepos, saveRepos } from './repos.ts';
import { type ApplyResult, emptyResult, increment, joined } from './result.ts';
import { together } from './together.ts';
import { type Written, writeOps } from './write.ts';

export interface ApplyOptions {
  /** Which collections are wanted; all by default. */
  keep?: (nsid: string) => boolean;
  /** Make notifications for records of whole fetches too. */
  backfillNotifications?: boolean;
  /** Milliseconds since 1970, for tests. */
  now?: number;
}

/**
 * Applies stream entries, of any repos and in any order, in one transaction. Idempotent: an entry that was applied
 * before changes nothing. Nothing of an entry is lost when it returns, nothing is changed when it throws.
 *
 * A single record that can't be written (by its lexicon, its builder or PostgreSQL) is left out, counted and
 * sampled; the others are written.
 *
 * @param entries each the events of one stream entry, in the order of delivery; gone through once, so that they may be
 *   decoded as they are asked for
 * @throws TransientError when PostgreSQL can't be reached or can't go on; try the same again
 * @throws any other error when one of the entries is poison: apply them apart to find it
 */
export async function applyEvents(
  pool: Pool,
  entries: Iterable<readonly StreamEvent[]>,
  options: ApplyOptions = {},
): Promise<ApplyResult> {
  const now = options.now ?? Date.now();
  const keep = options.keep ?? (() => true);
  const packer = new RowPacker();
  const prepared = await prepareInTurns(entries, { keep, now, packer });
  const settled = { ...options, now, packer };
  const { result, judged } = await applyAll(pool, prepared, settled);
  const { backfillNotifications = false } = settled;
  const ops = prepared.flatMap((entry) => entry.ops);
  seam('database:applied');
  await follow(pool, ops, { backfillNotifications }, judged);
  packer.free();
  if (result.refused.length > 0) await sampleRefused(pool, result.refused).catch(() => undefined);
  return result;
}

/** Events prepared before others have their turn, such as a batch whose next statement waits: a few milliseconds. */
const eventsATurn = 400;

async function prepareInTurns(
  entries: Iterable<readonly StreamEvent[]>,
  options: PrepareOptions,
): Promise<Entry[]> {
  const prepared: Entry[] = [];
  let left = eventsATurn;
  for (const events of entries) {
    if (left <= 0) {
      await setImmediate();
      left = eventsATurn;
    }
    left -= events.length;
    prepared.push(...prepare(events, options));
  }
  return prepared;
}

type Settled = ApplyOptions & { now: number; packer: RowPacker };

interface Applied {
  result: ApplyResult;
  /** Posts that the transaction judged besides those that it names. */
  judged: string[];
  /** Entries of repos that another was writing. */
  left: Entry[];
}

/**
 * Live entries don't wait for each other's repos: a batch of whole fetches may hold some of them for a while, and
 * those come in a second transaction, which waits.
 */
async function applyAll(pool: Pool, entries: Entry[], options: Settled): Promise<Applied> {
  const patient = !entries.every((entry) => entry.live);
  const first = await retried(pool, entries, options, patient);
  if (first.left.length === 0) return first;
  const rest = await retried(pool, first.left, options, true);
  return {
    result: joined(first.result, rest.result),
    judged: [...first.judged, ...rest.judged],
    left: [],
  };
}

async function retried(pool: Pool, entries: Entry[], options: Settled, patient: boolean): Promise<Applied> {
  let direct = true;
  for (let attempt = 1; ; attempt++) {
    try {
      return await inTransaction(pool, (client) =>
        new Batch(client, options, { direct, patient }).apply(entries),
      );
    } catch (err) {
      options.packer.keep();
      const deadlock = sqlState((err as Error).cause) === '40P01';
      if (deadlock && attempt < deadlockTries) continue;
      if (isTransient(err)) throw err;
      // Rows were there that a fresh repo can't have, or a duplicate in another part: read first.
      if (direct && sqlState(err) === '23505') direct = false;
      else if (entries.length === 1 && entries[0]!.ops.length > 0) return salvage(pool, entries[0]!, options);
      else throw err;
    }
  }
}

/** Applies the one entry that fails as a whole record by record, and leaves out those that fail alone. */
function salvage(pool: Pool, entry: Entry, options: Settled): Promise<Applied> {
  return inTransaction(pool, (client) =>
    new Batch(client, options, { direct: false, patient: true }).applyApart(entry),
  );
}

/** One transaction. */
class Batch {
  private client: Client;
  private options: Settled;
  private allowDirect: boolean;
  private patient: boolean;
  private before = new Map<string, Repo>();
  private repos = new Map<string, Repo>();
  private commits = new Map<string, { rev: string; cid: string }>();
  private identities: string[] = [];
  private result = emptyResult();
  private judged: string[] = [];

  /** @param how whether to write without reading where that may be; whether to wait for the locks of repos */
  constructor(client: Client, options: Settled, how: { direct: boolean; patient: boolean }) {
    this.client = client;
    this.options = options;
    this.allowDirect = how.direct;
    this.patient = how.patient;
  }

  async apply(entries: readonly Entry[]): Promise<Applied> {
    await this.lock(entries);
    const [held, left] = partition(entries, (entry) => this.repos.has(entry.did));
    const written = await this.write(this.plan(held));
    this.take(written);
    await this.finish(written.counts);
    return { result: this.result, judged: this.judged, left };
  }

  async applyApart(entry: Entry): Promise<Applied> {
    await this.lock([entry]);
    const { merge } = this.plan([entry]);
    const counts = new Counts();
    for (const op of merge) {
      await this.client.query('SAVEPOINT op');
      try {
        const written = await this.write({ direct: [], merge: [op] });
        await this.client.query('RELEASE op');
        this.take(written);
        counts.merge(written.counts);
      } catch (err) {
        if (isTransient(err)) throw err;
        await this.client.query('ROLLBACK TO op');
        this.refuse(op, err as Error);
      }
    }
    await this.finish(counts);
    return { result: this.result, judged: this.judged, left: [] };
  }

  private refuse(op: Op, err: Error): void {
    this.result.refused.push({
      collection: op.nsid,
      uri: op.uri,
      rev: op.rev,
      reason: `postgres-${sqlState(err) ?? 'error'}`,
      detail: err.message,
      json: (op.version ? cellOf(op.version.record, 'json')! : 'null').slice(0, 4096),
    });
  }

  private async lock(entries: readonly Entry[]): Promise<void> {
    this.before = await lockRepos(
      this.client,
      entries.map((entry) => entry.did),
      this.patient,
    );
    this.repos = new Map(this.before);
  }

  private plan(entries: readonly Entry[]): { direct: Op[]; merge: Op[] } {
    const direct = new Map<string, Op[]>();
    const merge = new Map<string, Op[]>();
    for (const entry of entries) {
      const plan = planEntry(this.repos.get(entry.did)!, entry);
      this.note(entry, plan);
      this.repos.set(entry.did, plan.repo);
      if (plan.ops.length === 0) continue;
      const target = plan.direct && this.allowDirect ? direct : merge;
      const ops = target.get(entry.did);
      if (ops) ops.push(...plan.ops);
      else target.set(entry.did, [...plan.ops]);
    }
    // Both kinds of one repo in one batch: the later must see what the earlier wrote.
    for (const [did, ops] of merge) {
      const before = direct.get(did);
      if (before) ops.unshift(...before);
      direct.delete(did);
    }
    return { direct: [...direct.values()].flat(), merge: [...merge.values()].flat() };
  }

  private note(entry: Entry, plan: ReturnType<typeof planEntry>): void {
    const { result } = this;
    result.refused.push(...entry.refused);
    for (const reason of entry.drops) increment(result.drops, reason);
    if (plan.dropped) increment(result.drops, plan.dropped, entry.ops.length);
    if (plan.chain) increment(result.chain, plan.chain);
    if (plan.repo.state === 'complete' && this.repos.get(entry.did)!.state !== 'complete') {
      result.completed.push(entry.did);
    }
    if (plan.ops.length > 0) result[plan.direct ? 'direct' : 'merged']++;
    if (entry.identity !== undefined) this.identities.push(entry.did);
    const known = this.commits.get(entry.did);
    if (plan.at && (!known || plan.at.rev > known.rev)) this.commits.set(entry.did, plan.at);
  }

  private write(ops: { direct: Op[]; merge: Op[] }): Promise<Written> {
    const { backfillNotifications = false } = this.options;
    const deferred = !ops.merge.some((op) => op.live);
    return writeOps(this.client, ops, { backfillNotifications, deferred });
  }

  private take(written: Written): void {
    const { result } = this;
    result.written += written.written;
    result.removed += written.removed;
    result.unchanged += written.unchanged;
    this.judged.push(...written.judged);
    for (const [table, n] of written.rows) increment(result.rows, table, n);
  }

  /** Everything that belongs to repos as a whole, then the counts that repos share. */
  private async finish(counts: Counts): Promise<void> {
    const { client } = this;
    const newcomers = [...this.repos.values()].filter((repo) => !repo.actor && repo.state !== 'deleted');
    const added = addActors(client, newcomers, this.options.now);
    for (const repo of newcomers) this.repos.set(repo.did, { ...repo, actor: true });
    const changed = [...this.repos.values()].filter((repo) => repo !== this.before.get(repo.did));
    const restated = changed.filter((repo) => repo.account !== this.before.get(repo.did)!.account);
    const present = this.identities.filter((did) => this.repos.get(did)!.state !== 'deleted');
    await together(
      added,
      writeStatuses(client, restated),
      noteDepartures(client, restated),
      requestHandles(client, present, true),
      writeSync(client, this.commits),
      saveRepos(client, changed),
      counts.write(client),
    );
    for (const [count, n] of counts.changes) increment(this.result.counts, count, n);
  }
}

function partition<T>(list: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  const { yes = [], no = [] } = Object.groupBy(list, (item) => (test(item) ? 'yes' : 'no'));
  return [yes, no];
}
