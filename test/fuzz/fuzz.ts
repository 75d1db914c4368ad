import { hash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { random } from '../../packages/repo/testing/random.ts';
import { makeInputs } from './inputs.ts';
import { Reader } from './reader.ts';
import type { Kind } from './targets.ts';

export const corpus = join(import.meta.dirname, 'corpus');
const batchSize = 32;

export interface Finding {
  file: string;
  why: string;
}

export interface Outcome {
  inputs: Record<string, number>;
  findings: Finding[];
}

/** Reads changed inputs, the kinds in turns, until the time or the number of batches is over. */
export async function fuzz(options: {
  kinds: readonly Kind[];
  seed: number;
  ms?: number;
  batches?: number;
}): Promise<Outcome> {
  const { kinds, seed, ms = Number.POSITIVE_INFINITY, batches = Number.POSITIVE_INFINITY } = options;
  const make = await makeInputs(seed);
  const numbers = random(seed);
  const outcome: Outcome = { inputs: {}, findings: [] };
  const until = performance.now() + ms;
  using reader = new Reader();
  for (let n = 0; n < batches && performance.now() < until; n++) {
    const kind = kinds[n % kinds.length]!;
    const inputs: Buffer[] = [];
    while (inputs.length < batchSize) inputs.push(await make[kind](numbers));
    for (const { at, why } of await reader.read(kind, inputs)) {
      outcome.findings.push({ file: await keep(kind, inputs[at]!), why });
    }
    outcome.inputs[kind] = (outcome.inputs[kind] ?? 0) + inputs.length;
  }
  return outcome;
}

/** A failing input becomes a file that the tests read for ever. */
async function keep(kind: Kind, input: Buffer): Promise<string> {
  const file = join(corpus, `${kind}-${hash('sha256', input).slice(0, 16)}`);
  await mkdir(corpus, { recursive: true });
  await writeFile(file, input);
  return file;
}
