import { createWriteStream, mkdirSync, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { nodeLimits } from '../node-limits.ts';
import { type Child, spawnChild } from '../process.ts';

export interface ServiceOptions {
  name: string;
  /** TypeScript file that Node 24 runs, and its arguments. */
  main: string;
  args?: string[];
  env: Record<string, string | undefined>;
  /** Folder for its log, NAME.log. */
  logs: string;
  /** Told of restarts and of what it logs as a warning or worse. */
  say: (line: string) => void;
}

/** A service refused its settings or keeps failing: trying again would not help. */
export class ServiceRefusedError extends Error {
  override name = 'ServiceRefusedError';
}

/** Code with which a service ends that can't work with its settings. */
const BAD_SETTINGS = 2;
const LONGEST_PAUSE_MS = 30_000;
/** Ends one after the other, each within a minute, after which it is given up. */
const MOST_FAILURES = 6;

/**
 * A service's process that is started again when it ends by itself, with a growing pause.
 *
 *   start() ──► running ──(ends)──► pause ──► running …     stop() ──► stopped, from each of them
 */
export class Service {
  readonly name: string;
  /** Rejects with ServiceRefusedError when it can't ever run; never resolves before `stop`. */
  readonly finished: Promise<void>;
  private readonly options: ServiceOptions;
  private readonly log: WriteStream;
  private readonly stopping = new AbortController();
  private child: Child | undefined;

  constructor(options: ServiceOptions) {
    this.name = options.name;
    this.options = options;
    mkdirSync(options.logs, { recursive: true });
    this.log = createWriteStream(join(options.logs, `${options.name}.log`), { flags: 'a' });
    this.finished = this.run();
    // Whoever awaits it later still gets the error.
    this.finished.catch(() => {});
  }

  /** SIGTERM, then up to `graceMs` for it to finish what it has in hand. */
  async stop(graceMs = 25_000): Promise<void> {
    this.stopping.abort();
    await this.child?.stop('SIGTERM', graceMs);
    await this.finished.catch(() => {});
    this.log.end();
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.stopping.abort();
    await this.child?.stop('SIGKILL');
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    for (let failures = 0; !signal.aborted; failures++) {
      const began = Date.now();
      const how = await this.once();
      if (signal.aborted) return;
      if (how.code === BAD_SETTINGS) throw new ServiceRefusedError(this.child!.output);
      // One that ran for a minute is not in a loop of failures.
      if (Date.now() - began > 60_000) failures = 0;
      const pause = Math.min(LONGEST_PAUSE_MS, 500 * 2 ** failures);
      if (failures >= MOST_FAILURES) {
        throw new ServiceRefusedError(`${this.name} keeps ending:\n${this.child!.output}`);
      }
      const ending = `${how.signal ?? `code ${how.code}`}${reasonOf(this.child!.output)}`;
      this.options.say(`${this.name} ended (${ending}); starting it again in ${pause / 1000} s`);
      await sleep(pause, undefined, { signal }).catch(() => {});
    }
  }

  private once() {
    const { main, args = [], env } = this.options;
    const nodeArgs = [...nodeLimits, '--disable-warning=ExperimentalWarning'];
    const onLine = (line: string) => this.heard(line);
    this.child = spawnChild(process.execPath, [...nodeArgs, main, ...args], { env, onLine });
    return this.child.exited;
  }

  private heard(line: string): void {
    if (!this.log.writableEnded) this.log.write(`${line}\n`);
    const entry = parse(line);
    const level = entry?.['level'];
    if (level !== 'warn' && level !== 'error' && level !== 'fatal') return;
    const error = (entry!['err'] as { message?: string } | undefined)?.message;
    this.options.say(`${this.name} ${level}: ${entry!['msg']}${error === undefined ? '' : `: ${error}`}`);
  }
}

/** The line of its last output that says what happened. */
function reasonOf(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('{'));
  const line = lines.find((text) => /error/i.test(text) && !/^\s+at /.test(text)) ?? lines.at(-1);
  return line === undefined ? '' : `: ${line.trim()}`;
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    return line.startsWith('{') ? JSON.parse(line) : undefined;
  } catch {
    return undefined;
  }
}
