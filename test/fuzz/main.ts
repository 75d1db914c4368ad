/** `pnpm fuzz [--minutes N] [--seed S] [--only frames|cars|cbor|entries]` */
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.ts';
import { kinds } from './targets.ts';

const { values } = parseArgs({
  options: { minutes: { type: 'string' }, seed: { type: 'string' }, only: { type: 'string' } },
});
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const wanted = kinds.filter((kind) => values.only === undefined || kind === values.only);
const ms = Number(values.minutes ?? 10) * 60_000;
if (wanted.length === 0 || !(ms > 0) || !Number.isSafeInteger(seed)) {
  console.error(`usage: pnpm fuzz [--minutes N] [--seed S] [--only ${kinds.join('|')}]`);
  process.exit(2);
}
console.log(`seed ${seed}`);
const { inputs, findings } = await fuzz({ kinds: wanted, seed, ms });
for (const { file, why } of findings) console.log(`${file}: ${why}`);
console.log(`${JSON.stringify(inputs)}: ${findings.length} inputs were not read as they should be`);
process.exitCode = findings.length === 0 ? 0 : 1;
