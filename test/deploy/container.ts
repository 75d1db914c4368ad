import { setTimeout as pause } from 'node:timers/promises';
import { type Child, spawnChild } from '@headwater/local';
import { durationMs, root, type Service } from './compose.ts';

export type Health = 'starting' | 'healthy' | 'unhealthy';

/** How a copy of a service is run where there are no containers. */
export interface Copy {
  /** `indexer-live-1`, as Compose names it. */
  name: string;
  service: Service;
  /** Program and arguments. */
  command: readonly string[];
  env: Record<string, string | undefined>;
  /** Program and arguments of its health check, if it has one. */
  probe: readonly string[] | undefined;
}

/** Health checks come so much oftener than the file says: nobody waits for a test that long. */
const HASTE = 5;
/** Docker's pause before the first restart; it doubles from one to the next. */
const FIRST_PAUSE_MS = 100;

/**
 * A copy of a service as Docker would keep it: started, probed, and started
 * again as `restart:` says, until it is told to stop.
 *
 *     starting ──probe──► healthy ◄──► unhealthy      ends ──restart──► starting
 */
export class Container {
  readonly copy: Copy;
  health: Health = 'starting';
  restarts = 0;
  /** Ends that nobody asked for, failed probes in a row: with the last words. */
  readonly complaints: string[] = [];
  /** Resolves with the first end that no restart follows. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly #end = Promise.withResolvers<{ code: number | null; signal: NodeJS.Signals | null }>();
  readonly #over = new AbortController();
  #child!: Child;
  #expectsEnd = false;

  constructor(copy: Copy) {
    this.copy = copy;
    this.ended = this.#end.promise;
    this.#start();
    if (copy.probe) void this.#watch(copy.probe);
  }

  get output(): string {
    return this.#child.output;
  }

  /** SIGSTOP: it does nothing until `thaw`. @returns false where it does not run at present */
  freeze(): boolean {
    const { running, pid } = this.#child;
    return running && process.kill(pid, 'SIGSTOP');
  }

  thaw(): void {
    if (this.#child.running) process.kill(this.#child.pid, 'SIGCONT');
  }

  /** SIGKILL, as the kernel's when memory is short; `restart:` decides what follows. */
  async kill(): Promise<void> {
    this.#expectsEnd = true;
    await this.#child.stop('SIGKILL');
  }

  /** `docker compose stop`: SIGTERM, and SIGKILL after `stop_grace_period`, which it should not come to. */
  async stop(): Promise<void> {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    const { running } = this.#child;
    await this.#child.stop('SIGTERM', durationMs(this.copy.service.stop_grace_period ?? '10s'));
    const { code, signal } = await this.#child.exited;
    if (running && code !== 0) this.#complain(`was stopped and ended with ${code ?? signal}`);
  }

  #start(): void {
    const [program, ...args] = this.copy.command;
    this.health = 'starting';
    this.#child = spawnChild(program!, args, { cwd: root, env: this.copy.env });
    void this.#child.exited.then((how) => this.#ended(how));
  }

  async #ended(how: { code: number | null; signal: NodeJS.Signals | null }): Promise<void> {
    if (this.#over.signal.aborted || this.copy.service.restart === 'no') return this.#end.resolve(how);
    if (!this.#expectsEnd) this.#complain(`ended with ${how.code ?? how.signal}`);
    this.#expectsEnd = false;
    this.health = 'starting';
    await pause(FIRST_PAUSE_MS * 2 ** this.restarts++);
    if (!this.#over.signal.aborted) this.#start();
  }

  /** As Docker: one success is health, `retries` failures in a row are none, and none counts while it starts. */
  async #watch(probe: readonly string[]): Promise<void> {
    const { interval, retries } = this.copy.service.healthcheck!;
    let failures = 0;
    while (!this.#over.signal.aborted) {
      const child = this.#child;
      const said = await this.#probe(probe);
      if (this.#over.signal.aborted || child !== this.#child) continue;
      failures = said === undefined || this.health === 'starting' ? 0 : failures + 1;
      if (said === undefined) this.health = 'healthy';
      if (failures === retries) {
        this.health = 'unhealthy';
        this.#complain(`is unhealthy: ${said}`);
      }
      const every = this.health === 'starting' ? 1000 : durationMs(interval);
      await pause(every / HASTE, undefined, { signal: this.#over.signal }).catch(() => undefined);
    }
  }

  /** @returns what is wrong, undefined when all is well */
  async #probe([program, ...args]: readonly string[]): Promise<string | undefined> {
    const child = spawnChild(program!, args, { cwd: root, env: this.copy.env });
    const timeout = setTimeout(
      () => void child.stop('SIGKILL'),
      durationMs(this.copy.service.healthcheck!.timeout),
    );
    const { code, signal } = await child.exited;
    clearTimeout(timeout);
    return code === 0 ? undefined : `${code ?? signal} ${child.output}`;
  }

  #complain(what: string): void {
    this.complaints.push(`${this.copy.name} ${what}\n${this.#child.output}`);
  }
}
