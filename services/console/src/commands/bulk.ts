import type { BulkStatus } from '@headwater/database';
import type { Command } from 'commander';
import { onRecord } from '../actions/on-record.ts';
import { CommandError } from '../errors.ts';
import { type ConsoleSettings, withSettings } from '../open.ts';
import { table } from '../table.ts';
import { wholeNumber } from '../words.ts';

interface FinishWords {
  sessions?: number;
  memory?: string;
  blockWriters?: boolean;
  reason?: string;
}

/** `headwater bulk start | status | finish`: the first load of an empty database. */
export function addBulk(program: Command): void {
  const bulk = program
    .command('bulk')
    .description('the first load of an empty database: indexes and counts are made at its end');
  bulk
    .command('start')
    .description(
      'drop the indexes that only the AppView reads, leave counts alone; before the first repo is loaded',
    )
    .option('--reason <text>', 'why, for the audit')
    .action(({ reason }: { reason?: string }) => withSettings((settings) => start(settings, reason)));
  bulk
    .command('status')
    .description('whether bulk mode is on, and what its end still has to do')
    .option('--json', 'as JSON')
    .action(({ json }: { json?: boolean }) => withSettings((settings) => status(settings, json ?? false)));
  bulk
    .command('finish')
    .description(
      'build the indexes and count everything, while the services run; run it again when it was ended',
    )
    .option('--sessions <n>', 'steps at once; 2 if left out', wholeNumber)
    .option('--memory <size>', 'maintenance_work_mem of each of them; 256MB if left out')
    .option('--block-writers', 'faster, while who writes to a table waits until its index is built')
    .option('--reason <text>', 'why, for the audit')
    .addHelpText('after', '\nExample:\n  headwater bulk finish --sessions 4 --memory 2GB')
    .action((words: FinishWords) => withSettings((settings) => finish(settings, words)));
}

async function start(settings: ConsoleSettings, reason: string | undefined): Promise<void> {
  const { startBulk } = await import('@headwater/database');
  const run = async () => {
    const dropped = await told(() => inPool(settings, startBulk));
    return `bulk mode is on, ${dropped.length} indexes wait for its end. When \`headwater status\` says that the backfill is done: headwater bulk finish`;
  };
  console.log(await onRecord(settings, { action: 'bulk start', subject: 'all', reason }, run));
}

async function status(settings: ConsoleSettings, json: boolean): Promise<void> {
  const { bulkStatus } = await import('@headwater/database');
  const found = await inPool(settings, bulkStatus);
  console.log(json ? JSON.stringify(found) : render(found));
}

async function finish(settings: ConsoleSettings, { reason, ...words }: FinishWords): Promise<void> {
  const { finishBulk } = await import('@headwater/database');
  const { databaseUrl: url, databaseSchema: schema } = settings;
  const began = Date.now();
  const run = async () => {
    await told(() => finishBulk({ url, schema, ...words, say: (line) => console.log(line) }));
    return `finished in ${Math.round((Date.now() - began) / 1000)} s`;
  };
  console.log(await onRecord(settings, { action: 'bulk finish', subject: 'all', reason }, run));
}

type Database = typeof import('@headwater/database');
type Pool = Parameters<Database['startBulk']>[0];

/** What bulk mode refuses is an answer, not a failure of ours. */
async function told<T>(run: () => Promise<T>): Promise<T> {
  const { BulkError } = await import('@headwater/database');
  try {
    return await run();
  } catch (err) {
    throw err instanceof BulkError ? new CommandError(err.message) : err;
  }
}

/** Runs with connections of its own. */
async function inPool<T>(settings: ConsoleSettings, run: (pool: Pool) => Promise<T>): Promise<T> {
  const { databasePool } = await import('@headwater/database');
  const { databaseUrl: url, databaseSchema: schema } = settings;
  const pool = databasePool({ url, schema, max: 1, applicationName: 'headwater bulk' });
  try {
    return await run(pool);
  } finally {
    await pool.end();
  }
}

function render({ state, startedAt, finishingAt, finishedAt, steps }: BulkStatus): string {
  if (state === 'off') {
    return finishedAt === null
      ? 'bulk mode is off'
      : `bulk mode is off; it ended at ${finishedAt.toISOString()}`;
  }
  const done = steps.filter((step) => step.doneAt !== null).length;
  const rows = steps.map(({ name, kind, of, doneAt, progress }) => [
    kind,
    name,
    of,
    doneAt?.toISOString() ?? progress ?? 'to do',
  ]);
  const since = `since ${startedAt?.toISOString()}${finishingAt ? `, being finished since ${finishingAt.toISOString()}` : ''}`;
  return [
    `bulk mode: ${state}, ${since}; ${done} of ${steps.length} steps of its end are done`,
    table(['step', 'name', 'table', 'done'], rows),
  ].join('\n');
}
