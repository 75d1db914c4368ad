import type { WrongCount } from '@headwater/database';
import type { Command } from 'commander';
import { onRecord } from '../actions/on-record.ts';
import { CommandError } from '../errors.ts';
import { type ConsoleSettings, withSettings } from '../open.ts';
import { table } from '../table.ts';
import { wholeNumber } from '../words.ts';

interface Options {
  sample?: number;
  json?: boolean;
  dryRun?: boolean;
  reason?: string;
}

/** Wrong counts shown one by one; all are counted. */
const mostShown = 20;

/** `headwater counts verify | repair`: counts against the rows that they count. */
export function addCounts(program: Command): void {
  const counts = program
    .command('counts')
    .description('counts of likes, posts, followers … against their rows');
  counts
    .command('verify')
    .description('say which counts are not what their rows say; exits 1 then')
    .option('--sample <n>', 'only as many of each kind, chosen by chance', wholeNumber)
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample:\n  headwater counts verify --sample 10000')
    .action((options: Options) => withSettings((settings) => verify(settings, options)));
  counts
    .command('repair')
    .description('write what is counted over counts that are wrong; safe while services run')
    .option('--dry-run', 'only say what would be done')
    .option('--reason <text>', 'why, for the audit')
    .addHelpText('after', '\nExample:\n  headwater counts repair --reason "after a restore"')
    .action((options: Options) => withSettings((settings) => repair(settings, options)));
}

async function verify(settings: ConsoleSettings, { sample, json }: Options): Promise<void> {
  const { wrong, looked } = await look(settings, { ...(sample && { sample }) });
  console.log(json ? JSON.stringify({ looked, wrong }) : render(wrong, looked));
  if (wrong.length > 0) throw new CommandError('counts are wrong: `headwater counts repair` mends them');
}

async function repair(settings: ConsoleSettings, { dryRun, reason }: Options): Promise<void> {
  if (dryRun) {
    const { wrong, looked } = await look(settings, {});
    return console.log(render(wrong, looked));
  }
  const run = async () => {
    const { wrong, looked } = await look(settings, { repair: true });
    return `${wrong.length} counts repaired, of ${looked} rows`;
  };
  console.log(await onRecord(settings, { action: 'counts repair', subject: 'all', reason }, run));
}

async function look(
  { databaseUrl, databaseSchema }: ConsoleSettings,
  options: { sample?: number; repair?: boolean },
): Promise<{ wrong: WrongCount[]; looked: number }> {
  const { compareCounts, countKeys, databasePool, repairCounts } = await import('@headwater/database');
  const pool = databasePool({
    url: databaseUrl,
    schema: databaseSchema,
    max: 2,
    applicationName: 'headwater counts',
  });
  const wrong: WrongCount[] = [];
  let looked = 0;
  try {
    for await (const { table, keys } of countKeys(pool, options)) {
      const found = await compareCounts(pool, table, keys);
      if (options.repair) await repairCounts(pool, table, [...new Set(found.map(({ key }) => key))]);
      wrong.push(...found);
      looked += keys.length;
    }
  } finally {
    await pool.end();
  }
  return { wrong, looked };
}

function render(wrong: readonly WrongCount[], looked: number): string {
  const summary = `${wrong.length} wrong counts in ${looked} rows`;
  if (wrong.length === 0) return summary;
  const rows = wrong
    .slice(0, mostShown)
    .map(({ key, column, held, counted }) => [key, column, held, counted]);
  const more = wrong.length > mostShown ? `\n… and ${wrong.length - mostShown} more` : '';
  return `${table(['of', 'count', 'held', 'counted'], rows)}${more}\n${summary}`;
}
