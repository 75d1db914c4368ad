import type { Random } from '@headwater/local/random';
import { type Place, type RunningService, type ServiceName, spawnService } from '../support/services.ts';

export const SERVICES: readonly ServiceName[] = ['ingester', 'repo-backfiller', 'indexer'];

/**
 * The three services as processes of their own, of which each may die at any
 * moment and comes back under its name. One that ends by itself is a failure, unless it is
 * by SIGKILL (test/crash): then it comes back too.
 */
export class Pipeline implements AsyncDisposable {
  readonly place: Place;
  /** How often each was killed. */
  readonly kills: Record<ServiceName, number> = { ingester: 0, 'repo-backfiller': 0, indexer: 0 };
  /** What ended without being told to, with its last words. */
  readonly failures: string[] = [];
  readonly #running = new Map<ServiceName, RunningService>();
  readonly #expected = new WeakSet<RunningService>();

  constructor(place: Place) {
    this.place = place;
  }

  async start(): Promise<void> {
    await Promise.all(SERVICES.map((name) => this.launch(name)));
  }

  async launch(name: ServiceName): Promise<RunningService> {
    const service = await spawnService(name, this.place);
    this.#running.set(name, service);
    service.child.exited.then(({ code, signal }) => {
      if (this.#expected.has(service)) return;
      if (signal === 'SIGKILL') {
        this.kills[name]++;
        return void this.launch(name);
      }
      this.failures.push(`${name} ended with ${code ?? signal}\n${service.child.output}`);
    });
    return service;
  }

  /** Waits until every service says that it is ready. */
  async ready(): Promise<void> {
    await Promise.all([...this.#running.values()].map((service) => service.ready()));
  }

  /** SIGKILL, and a new process in its place. */
  async kill(name: ServiceName): Promise<void> {
    const service = this.#running.get(name)!;
    this.#expected.add(service);
    await service.kill();
    this.kills[name]++;
    await this.launch(name);
  }

  /** The last lines of every service, for a failure's message. */
  get output(): string {
    return [...this.#running].map(([name, { child }]) => `--- ${name}\n${child.output}`).join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const service of this.#running.values()) this.#expected.add(service);
    await Promise.all([...this.#running.values()].map((service) => service[Symbol.asyncDispose]()));
  }
}

/** Kills services at random moments until the signal aborts, `betweenMs` apart on average. */
export async function killAtRandom(
  pipeline: Pipeline,
  random: Random,
  { betweenMs, signal }: { betweenMs: number; signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    await pause(random.between(1, 2 * betweenMs), signal);
    if (!signal.aborted) await pipeline.kill(random.pick(SERVICES));
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const stop = () => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener('abort', stop, { once: true });
  });
}
