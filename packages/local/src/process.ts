import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Readable } from 'node:stream';

export class ProcessError extends Error {
  override name = 'ProcessError';
  readonly command: string;
  readonly output: string;
  constructor(message: string, command: string, output: string, options?: ErrorOptions) {
    super(message, options);
    this.command = command;
    this.output = output;
  }
}

export interface ChildOptions {
  env?: Record<string, string | undefined>;
  cwd?: string;
  uid?: number;
  gid?: number;
  /** Signal that the kernel sends to the child when this process dies. */
  deathSignal?: 'SIGINT' | 'SIGTERM' | 'SIGKILL';
  /** Called for every line of stdout and stderr. */
  onLine?: (line: string) => void;
}

/** How many of the last lines of output a child keeps for error messages. */
const TAIL = 30;
const LAST_WORDS_MS = 200;

/**
 * A process that is not in the terminal's process group (so Ctrl-C reaches
 * only its parent, which stops it in order) and does not outlive its parent.
 */
export class Child implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly command: string;
  /** Resolves with how the process ended; never rejects. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null; error?: Error }>;
  private readonly tail: string[] = [];
  private readonly watchers = new Set<(line: string) => void>();

  constructor(command: string, args: string[], options: ChildOptions) {
    this.command = command;
    const [file, fullArgs] = withDeathSignal(command, args, options.deathSignal ?? 'SIGTERM');
    this.process = spawn(file, fullArgs, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      uid: options.uid,
      gid: options.gid,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    if (options.onLine !== undefined) this.watchers.add(options.onLine);
    for (const stream of [this.process.stdout, this.process.stderr]) this.readLines(stream!);
    this.exited = new Promise((resolve) => {
      this.process.once('error', (error) => resolve({ code: null, signal: null, error }));
      this.process.once('close', (code, signal) => resolve({ code, signal }));
      // Its last words come after `exit`; a grandchild that holds its stdout must not delay the news for long.
      this.process.once('exit', (code, signal) => setTimeout(() => resolve({ code, signal }), LAST_WORDS_MS));
    });
  }

  get pid(): number {
    return this.process.pid ?? -1;
  }

  get running(): boolean {
    return (
      this.process.exitCode === null && this.process.signalCode === null && this.process.pid !== undefined
    );
  }

  /** The last lines that it printed. */
  get output(): string {
    return this.tail.join('\n');
  }

  /** Resolves with the first line that satisfies `test`; rejects when the process ends before it, or after `ms`. */
  async waitForLine(test: (line: string) => boolean, ms = 60_000): Promise<string> {
    const found = Promise.withResolvers<string>();
    const watch = (line: string) => {
      if (test(line)) found.resolve(line);
    };
    const timer = setTimeout(() => found.reject(this.failure(`not ready after ${ms} ms`)), ms);
    this.watchers.add(watch);
    for (const line of this.tail) watch(line);
    this.exited.then((how) => found.reject(this.failure(describe(how))));
    try {
      return await found.promise;
    } finally {
      clearTimeout(timer);
      this.watchers.delete(watch);
    }
  }

  /** Sends `signal` and waits for the end; SIGKILL after `graceMs`. Safe to call twice. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', graceMs = 30_000): Promise<void> {
    if (this.running) this.process.kill(signal);
    const timer = setTimeout(() => this.process.kill('SIGKILL'), graceMs);
    await this.exited;
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  private failure(what: string): ProcessError {
    return new ProcessError(`${this.command}: ${what}\n${this.output}`, this.command, this.output);
  }

  private readLines(stream: Readable): void {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop()!;
      for (const line of lines) this.seen(line);
    });
    stream.on('end', () => rest !== '' && this.seen(rest));
  }

  private seen(line: string): void {
    this.tail.push(line);
    if (this.tail.length > TAIL) this.tail.shift();
    for (const watch of this.watchers) watch(line);
  }
}

/** Starts `command` at once; failures to start show in `exited` and `waitForLine`. */
export function spawnChild(command: string, args: string[], options: ChildOptions = {}): Child {
  return new Child(command, args, options);
}

function describe(how: { code: number | null; signal: NodeJS.Signals | null; error?: Error }): string {
  if (how.error !== undefined) return how.error.message;
  return how.signal === null ? `ended with code ${how.code}` : `ended by ${how.signal}`;
}

/** The full path of a program on PATH, or undefined. */
export function findProgram(...names: string[]): string | undefined {
  for (const name of names) {
    for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
      if (folder !== '' && isExecutable(join(folder, name))) return join(folder, name);
    }
  }
  return undefined;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

// setpriv (util-linux, essential on Debian and Ubuntu) sets PR_SET_PDEATHSIG and
// becomes the program, so that the pid is the program's own.
function withDeathSignal(command: string, args: string[], signal: string): [string, string[]] {
  if (process.platform !== 'linux') return [command, args];
  const setpriv = findProgram('setpriv');
  if (setpriv === undefined) return [command, args];
  return [setpriv, ['--pdeathsig', signal.slice(3), '--', command, ...args]];
}
