import { type ChildProcess, fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Addresses } from './control.ts';
import type { Injected } from './faults/registry.ts';
import type { NetworkOptions } from './network.ts';
import type { TrueActor, TrueRecord } from './world/truth.ts';

/** A network in a process of its own, for benchmarks: its CPU time is not the caller's. */
export class RemoteNetwork implements AsyncDisposable {
  readonly addresses: Addresses;
  readonly process: ChildProcess;

  constructor(process: ChildProcess, addresses: Addresses) {
    this.process = process;
    this.addresses = addresses;
  }

  /** One of the calls of control.ts. */
  async call<T = unknown>(name: string, args: Record<string, unknown> = {}): Promise<T> {
    const url = `${this.addresses.controlUrl}/${name}`;
    const answer = await fetch(url, { method: 'POST', body: JSON.stringify(args) });
    const value = (await answer.json()) as T;
    if (!answer.ok) throw new Error(`${name}: ${JSON.stringify(value)}`);
    return value;
  }

  async run(operations: number, perSecond?: number): Promise<number> {
    return this.call('run', { operations, ...(perSecond && { perSecond }) });
  }

  async newestSeq(): Promise<number> {
    return (await this.call<{ newestSeq: number }>('state')).newestSeq;
  }

  injected(): Promise<Injected[]> {
    return this.call('injected');
  }

  records(): AsyncGenerator<TrueRecord> {
    return this.#lines('records');
  }

  actors(): AsyncGenerator<TrueActor> {
    return this.#lines('actors');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode !== null) return;
    const gone = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.kill('SIGTERM');
    await gone;
  }

  async *#lines<T>(name: string): AsyncGenerator<T> {
    const { body } = await fetch(`${this.addresses.controlUrl}/${name}`);
    let rest = '';
    for await (const text of body!.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) yield JSON.parse(line);
    }
  }
}

/** Starts a network as a process; resolves when everything listens. */
export async function startRemoteNetwork(options: NetworkOptions = {}): Promise<RemoteNetwork> {
  const main = fileURLToPath(new URL('./main.ts', import.meta.url));
  const child = fork(main, ['--options', JSON.stringify(options)], {
    // There is memory enough: its garbage is not what is measured.
    execArgv: ['--heap-growing-percent=900', '--max-semi-space-size=64'],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const failed = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the simulated network ended with ${code}`)));
  });
  failed.catch(() => {});
  const first = (async () => {
    for await (const line of createInterface(child.stdout!)) return JSON.parse(line) as Addresses;
    throw new Error('the simulated network said nothing');
  })();
  return new RemoteNetwork(child, await Promise.race([first, failed]));
}
