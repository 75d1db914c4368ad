import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { Fault } from './child.ts';
import type { Kind } from './targets.ts';

/** A child that reads inputs under a watchdog; it is replaced when it hangs or dies. */
export class Reader implements Disposable {
  #child: ChildProcess | undefined;

  /** @returns the inputs that were not read as they should be */
  async read(kind: Kind, inputs: Buffer[]): Promise<Fault[]> {
    const answer = await this.#ask(kind, inputs);
    if (typeof answer !== 'string') return answer;
    if (inputs.length === 1) return [{ at: 0, why: answer }];
    const faults: Fault[] = [];
    for (const [at, input] of inputs.entries()) {
      for (const { why } of await this.read(kind, [input])) faults.push({ at, why });
    }
    return faults.length > 0
      ? faults
      : [{ at: 0, why: `${answer}, in a batch, by none of its inputs alone` }];
  }

  #ask(kind: Kind, inputs: Buffer[]): Promise<Fault[] | string> {
    this.#child ??= fork(join(import.meta.dirname, 'child.ts'), {
      serialization: 'advanced',
      execArgv: ['--max-old-space-size=512'],
    });
    const child = this.#child;
    return new Promise((resolve) => {
      const end = (answer: Fault[] | string) => {
        clearTimeout(timer);
        child.removeAllListeners();
        if (typeof answer === 'string') this[Symbol.dispose]();
        resolve(answer);
      };
      const timer = setTimeout(() => end('no answer within 60 s'), 60_000);
      child.once('message', (faults) => end(faults as Fault[]));
      child.once('exit', (code, signal) => end(`the process died: ${signal ?? code}`));
      child.send({ kind, inputs });
    });
  }

  [Symbol.dispose](): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }
}
