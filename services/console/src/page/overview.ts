import { type Pausable, type Pause, pausesOf } from '@headwater/streams';
import { hostKey } from '@headwater/xrpc';
import { type AuditRow, recentActs } from '../actions/audit.ts';
import { type BulkView, bulkView } from '../bulk.ts';
import { type Hosts, hostsOf } from '../hosts.ts';
import { type Cached, cached } from './cached.ts';
import { type DeadClass, deadClasses } from './dead-classes.ts';
import { History, type Sample } from './history.ts';
import { type LiveSource, liveSources } from './live.ts';
import { type Estimate, estimate, type Phase, phaseOf } from './phase.ts';
import { type Listing, listings, type RepoCounts, repoCounts } from './repos.ts';
import type { Site } from './site.ts';
import {
  type DiskView,
  disks,
  type PostgresView,
  postgresView,
  type RedisView,
  redisView,
} from './storage.ts';
import { type StreamView, streamViews } from './streams.ts';

/** Everything that the page shows, at one moment. What could not be looked at is null, never zero. */
export interface Overview {
  at: string;
  phase: Phase;
  /** Services that an operator has stand still. */
  pauses: Partial<Record<Pausable, Pause>> | null;
  live: LiveSource[] | null;
  streams: StreamView[] | null;
  repos: (RepoCounts & { estimate: Estimate }) | null;
  listings: Listing[] | null;
  /** PDS hosts that fail, are left alone or are paused. */
  hosts: Hosts | null;
  dead: DeadClass[] | null;
  bulk: BulkView | null;
  postgres: PostgresView | null;
  redis: RedisView | null;
  disks: DiskView[];
  history: Sample[];
  /** What operators did last, newest first. */
  acts: AuditRow[] | null;
  /** What could not be looked at, and why. */
  problems: string[];
}

/** Longest look at one part; a part that takes longer is shown as unknown. */
const partMs = 5_000;
/** How long one look serves all who ask. */
const freshMs = 1_000;

/** Looks at everything; parts that cost much are looked at less often. */
export class Watch {
  readonly #site: Site;
  readonly #history: History;
  readonly #repos;
  readonly #dead;
  readonly #postgres;
  readonly look: Cached<Overview>;

  constructor(site: Site) {
    this.#site = site;
    this.#history = new History(site.redis);
    this.#repos = cached(() => repoCounts(site.sql), 2_000);
    this.#dead = cached(() => deadClasses(site.redis), 3_000);
    this.#postgres = cached(() => postgresView(site.sql), 5_000);
    this.look = cached(() => this.#look(), freshMs);
  }

  /** An operator has acted: the next look shows it. */
  forget(): void {
    this.look.forget();
    this.#dead.forget();
  }

  /** Keeps a figure of each plot, a few times a minute. */
  async sample(): Promise<void> {
    await this.#history.add(await this.look());
  }

  async #look(): Promise<Overview> {
    const { redis, settings } = this.#site;
    const problems: string[] = [];
    const part = <T>(name: string, look: Promise<T>) => within(name, look, problems);
    const relays = settings.relayHosts.map(hostKey);
    const [pauses, live, streams, counts, lists, hosts, dead, bulk, postgres, memory, room, history, acts] =
      await Promise.all([
        part('pauses', pausesOf(redis)),
        part('live sources', liveSources(redis, settings)),
        part('streams', streamViews(redis, settings)),
        part('repos', this.#repos()),
        part('listings', listings(redis, relays)),
        part('hosts', hostsOf(redis)),
        part('dead letters', this.#dead()),
        part('bulk mode', bulkView(this.#site.sql)),
        part('PostgreSQL', this.#postgres()),
        part('Redis', redisView(redis)),
        disks(settings.diskPaths),
        part('history', this.#history.read()),
        part('audit', recentActs(this.#site.sql, 10)),
      ]);
    const samples = history ?? [];
    const repos = counts && { ...counts, estimate: estimate(counts, streams, lists, samples) };
    const figures = { pauses, live, streams, repos, listings: lists, dead, bulk, postgres, redis: memory };
    return {
      at: new Date().toISOString(),
      phase: phaseOf(figures),
      ...figures,
      hosts,
      disks: room,
      history: samples,
      acts,
      problems,
    };
  }
}

async function within<T>(name: string, look: Promise<T>, problems: string[]): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${partMs / 1000} s`)), partMs);
  });
  try {
    return await Promise.race([look, late]);
  } catch (error) {
    problems.push(`${name}: ${(error as Error).message || (error as NodeJS.ErrnoException).code}`);
    return null;
  } finally {
    clearTimeout(timer);
  }
}
