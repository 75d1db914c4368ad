/**
 * The end of bulk mode: builds the indexes, counts everything, and lets writers change counts again. The services
 * run on meanwhile. Ended at any point it is run again and goes on; each step is done or not.
 *
 * The counts. Writers left them alone until now. First the state becomes `finishing`, which waits for all
 * transactions that still leave them alone; from then on each notes its changes in headwater.count_change. Then the
 * rows are counted as of one snapshot, and in the same transaction the notes that this snapshot sees are dropped:
 * their rows were counted. What is noted later is added at the end, the last of it in the transaction that makes
 * the state `settling`, where writers change the counts themselves as ever. Posts whose quotes are counted by
 * version are then counted once more, each under its lock.
 */
import { seam } from '@headwater/ops';
import pg from 'pg';
import { addNoted } from '../counts.ts';
import { assertSchemaName, type Client, classify, databasePool, inTransaction, type Pool } from '../pool.ts';
import { type CountTable, countAll, quotedInVersions, repairCounts } from '../recount.ts';
import { BulkError } from './error.ts';
import type { BulkState } from './state.ts';

export interface FinishOptions {
  url: string;
  /** Schema of the AppView's tables. */
  schema?: string;
  /** Steps under way at once, each in a session of its own. */
  sessions?: number;
  /** `maintenance_work_mem` of each of them. */
  memory?: string;
  /** Builds the indexes at twice the speed, while who writes to their tables waits and tries again. */
  blockWriters?: boolean;
  /** Told of each step. */
  say?: (line: string) => void;
  signal?: AbortSignal;
}

/** Names the advisory locks: one for who finishes, one that its sessions share. */
const finisherKey = 0x6275_6c6b;
const sessionKey = finisherKey + 1;
/** Noted changes that are added in one transaction. */
const notedAtOnce = 50_000;

interface Step {
  name: string;
  kind: 'index' | 'counts';
  of: string;
  definition: string;
  pages: number;
}

type Settled = Required<Omit<FinishOptions, 'signal'>> & { signal: AbortSignal | undefined };

/**
 * Ends bulk mode.
 *
 * @throws BulkError when it is off, or when somebody else is finishing it
 * @throws TransientError when PostgreSQL can't go on: run it again
 */
export async function finishBulk(options: FinishOptions): Promise<void> {
  const { signal, ...rest } = options;
  const defaults = {
    schema: 'bsky',
    sessions: 2,
    memory: '256MB',
    blockWriters: false,
    say: () => undefined,
  };
  const settled: Settled = { ...defaults, ...rest, signal };
  assertSchemaName(settled.schema);
  if (!/^\d+ ?(kB|MB|GB)$/.test(settled.memory))
    throw new BulkError(`${settled.memory} is no size, as 512MB is`);
  const { url, schema } = settled;
  const pool = databasePool({
    url,
    schema,
    max: 2,
    applicationName: 'headwater bulk',
    statementTimeoutMs: 0,
  });
  const finisher = await openSession(settled);
  try {
    await claim(finisher);
    await run(pool, settled);
  } catch (err) {
    throw classify(err);
  } finally {
    await finisher.end().catch(() => undefined);
    await pool.end();
  }
}

async function run(pool: Pool, settled: Settled): Promise<void> {
  if ((await stateOf(pool)) === 'loading') await setState(pool, 'finishing', 'finishing_at = now()');
  seam('bulk:finishing');
  if ((await stateOf(pool)) === 'finishing') {
    await workOff(await pending(pool), settled);
    settled.say('adding what was noted meanwhile');
    await mergeNoted(pool, settled.signal);
  }
  seam('bulk:settling');
  for await (const keys of quotedInVersions(pool)) {
    settled.signal?.throwIfAborted();
    await repairCounts(pool, 'post_agg', keys);
  }
  await setState(pool, 'off', 'finished_at = now()');
  settled.say('bulk mode is off');
}

/** A session for long statements: nothing ends it but its end. */
async function openSession({ url, schema, memory }: Settled): Promise<pg.Client> {
  const settings = {
    search_path: `${schema},public`,
    statement_timeout: 0,
    lock_timeout: 0,
    idle_in_transaction_session_timeout: 0,
    maintenance_work_mem: memory.replace(' ', ''),
    work_mem: '128MB',
    jit: 'off',
    timezone: 'UTC',
    // Whose client is gone need not be waited for.
    client_connection_check_interval: '2s',
  };
  const client = new pg.Client({
    connectionString: url,
    application_name: 'headwater bulk finish',
    keepAlive: true,
    options: Object.entries(settings)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(' '),
  });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** One at a time; sessions of one that was killed may still be at work. */
async function claim(finisher: Client): Promise<void> {
  const { rows } = await finisher.query<{ state: BulkState; mine: boolean }>(
    'SELECT state, pg_try_advisory_lock($1) AS mine FROM headwater.bulk',
    [finisherKey],
  );
  if ((rows[0]?.state ?? 'off') === 'off')
    throw new BulkError('bulk mode is not on: there is nothing to finish');
  if (!rows[0]!.mine) throw new BulkError('bulk mode is being finished already');
  await finisher.query('SELECT pg_advisory_lock($1)', [sessionKey]);
  await finisher.query('SELECT pg_advisory_unlock($1)', [sessionKey]);
}

async function stateOf(pool: Pool): Promise<BulkState> {
  const { rows } = await pool.query<{ state: BulkState }>('SELECT state FROM headwater.bulk');
  return rows[0]!.state;
}

/** Waits for the writers that go by the state before. */
async function setState(pool: Pool, state: BulkState, clock: string): Promise<void> {
  await inTransaction(pool, async (client) => {
    await client.query('SET LOCAL lock_timeout = 0');
    await client.query(`UPDATE headwater.bulk SET state = '${state}', ${clock}`);
  });
}

/** What is left to be done: the counts, beside which the first indexes are built, then the largest tables. */
async function pending(pool: Pool): Promise<Step[]> {
  const { rows } = await pool.query<Step>(
    `SELECT s.name, s.kind, s.of, s.definition, c.relpages AS pages
     FROM headwater.bulk_step s LEFT JOIN pg_class c ON c.oid = to_regclass(quote_ident(s.of))
     WHERE s.done_at IS NULL ORDER BY s.kind, pages DESC, s.name`,
  );
  return rows;
}

/** Steps side by side, those of one table after each other: PostgreSQL builds one index of a table at a time. */
async function workOff(steps: readonly Step[], settled: Settled): Promise<void> {
  const left = [...Map.groupBy(steps, (step) => step.of).values()].values();
  const failed = new AbortController();
  const session = async () => {
    const client = await openSession(settled);
    try {
      await client.query('SELECT pg_advisory_lock_shared($1)', [sessionKey]);
      for (const ofTable of left) {
        for (const step of ofTable) {
          settled.signal?.throwIfAborted();
          if (failed.signal.aborted) return;
          await perform(client, step, settled);
        }
      }
    } catch (err) {
      failed.abort();
      throw err;
    } finally {
      await client.end().catch(() => undefined);
    }
  };
  const sessions = Array.from({ length: Math.min(settled.sessions, Math.max(1, steps.length)) }, session);
  const ends = await Promise.allSettled(sessions);
  const bad = ends.find((end) => end.status === 'rejected');
  if (bad) throw bad.reason;
}

async function perform(client: Client, step: Step, settled: Settled): Promise<void> {
  const began = performance.now();
  if (step.kind === 'index') await buildIndex(client, step, settled);
  else await count(client, step.of as CountTable);
  settled.say(`${step.kind} ${step.name}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
  seam('bulk:step-done');
}

async function buildIndex(client: Client, step: Step, { schema, blockWriters }: Settled): Promise<void> {
  const { rows } = await client.query<{ valid: boolean }>(
    'SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = to_regclass($1)',
    [`${schema}.${step.name}`],
  );
  // One that was being built when its session ended.
  if (rows[0]?.valid === false) await client.query(`DROP INDEX CONCURRENTLY ${schema}."${step.name}"`);
  if (rows[0]?.valid !== true) {
    const how = blockWriters ? 'CREATE INDEX' : 'CREATE INDEX CONCURRENTLY';
    await client.query(step.definition.replace(/^CREATE INDEX/, how));
  }
  seam('bulk:index-built');
  await client.query('UPDATE headwater.bulk_step SET done_at = now() WHERE name = $1', [step.name]);
}

async function count(client: Client, table: CountTable): Promise<void> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  try {
    await client.query('DELETE FROM headwater.count_change WHERE of = $1', [table]);
    await client.query(countAll(table));
    await client.query('UPDATE headwater.bulk_step SET done_at = now() WHERE name = $1', [table]);
    seam('bulk:counted');
    await client.query('COMMIT');
  } catch (err) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw err;
  }
}

/** All but the last changes beside the writers, the last ones while they wait. */
async function mergeNoted(pool: Pool, signal: AbortSignal | undefined): Promise<void> {
  while ((await inTransaction(pool, (client) => addNoted(client, notedAtOnce))) > 0) signal?.throwIfAborted();
  await inTransaction(pool, async (client) => {
    await client.query('SET LOCAL lock_timeout = 0');
    await client.query(`UPDATE headwater.bulk SET state = 'settling'`);
    while ((await addNoted(client, notedAtOnce)) > 0);
  });
}
