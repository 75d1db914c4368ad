/** Reads what the parent sends, one input after the other, and says how each went. */
import { type Kind, targets } from './targets.ts';

export interface Batch {
  kind: Kind;
  inputs: Uint8Array[];
}

export interface Fault {
  at: number;
  why: string;
}

export const MAX_CPU_MS = 1000;
export const MAX_GROWTH_BYTES = 256 * 2 ** 20;

process.on('message', async ({ kind, inputs }: Batch) => {
  const faults: Fault[] = [];
  for (const [at, input] of inputs.entries()) {
    const why = await read(kind, Buffer.from(input));
    if (why !== undefined) faults.push({ at, why });
  }
  process.send!(faults);
});

/** CPU time, not the clock's: neighbours on the machine are not the input's fault. */
export async function read(kind: Kind, input: Buffer): Promise<string | undefined> {
  const cpu = process.cpuUsage();
  const before = process.resourceUsage().maxRSS;
  try {
    await targets[kind](input);
  } catch (err) {
    return `an exception that is not typed: ${(err as Error)?.stack ?? err}`;
  }
  const { user, system } = process.cpuUsage(cpu);
  const grown = (process.resourceUsage().maxRSS - before) * 1024;
  if (user + system > MAX_CPU_MS * 1000) return `${Math.round((user + system) / 1000)} ms of CPU`;
  return grown > MAX_GROWTH_BYTES ? `${grown} bytes of memory` : undefined;
}
