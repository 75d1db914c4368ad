import { seam, TransientError } from '@headwater/ops';
import pg from 'pg';
import { ListClient } from './array-text.ts';

export type Pool = pg.Pool;
/** Anything that runs one statement after another on one connection. */
export type Client = pg.ClientBase;

export interface PoolOptions {
  url: string;
  /** Schema of the AppView's tables; first on the search path. */
  schema?: string;
  /** Connections of this process at most: its whole budget, whatever it does at once. */
  max: number;
  /** Shown in pg_stat_activity. */
  applicationName: string;
  /** Longest time a statement may take, in milliseconds; 0 for none. */
  statementTimeoutMs?: number;
}

/**
 * Connections to PostgreSQL for one process.
 *
 * `enable_seqscan` is off: every statement of ours is a look-up by key, and a plan that was made while a table
 * was empty must not stay when it has a million rows.
 */
export function databasePool(options: PoolOptions): Pool {
  const { url, schema = 'bsky', max, applicationName, statementTimeoutMs = 120_000 } = options;
  assertSchemaName(schema);
  const pool = new pg.Pool({
    Client: ListClient,
    // Statements that don't need each other's answers are sent without waiting for them (together.ts).
    pipeline: true,
    connectionString: url,
    max,
    application_name: applicationName,
    connectionTimeoutMillis: 15_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    options: [
      `-c search_path=${schema},public`,
      '-c synchronous_commit=on',
      '-c enable_seqscan=off',
      '-c jit=off',
      `-c statement_timeout=${statementTimeoutMs}`,
      '-c idle_in_transaction_session_timeout=60000',
      '-c lock_timeout=60000',
      '-c timezone=UTC',
    ].join(' '),
  });
  // A connection that breaks while it is idle is replaced by the next use; unheard, it would end the process.
  pool.on('error', () => undefined);
  // Nor may one that breaks in the moment between the pool's hand and ours: the next query says what happened.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/** @throws TypeError when the name could not be written without quotes */
export function assertSchemaName(schema: string): void {
  if (!/^[a-z_][a-z0-9_]*$/.test(schema)) {
    throw new TypeError(`a schema's name has only a-z, 0-9 and _: ${schema}`);
  }
}

/** SQLSTATE classes (two letters) and codes that say: not the data's fault, try again. */
const transient = new Set([
  '08', // connection
  '40', // deadlock, serialization failure
  '53', // out of connections, memory or disk
  '57', // shutting down, query cancelled
  '58', // I/O error
  '55P03', // lock not available
  '25P03', // idle in transaction too long: the session was closed
  '25006', // read only: a standby after a failover
]);

const networkCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

/** The SQLSTATE of an error that PostgreSQL sent, else undefined. */
export function sqlState(err: unknown): string | undefined {
  return err instanceof pg.DatabaseError ? err.code : undefined;
}

/**
 * Whether the same statements may succeed later: connection lost or refused, deadlock, serialization failure, too
 * many connections, disk full, a server going down. Everything else is the data's fault or ours.
 */
export function isTransient(err: unknown): boolean {
  if (err instanceof TransientError) return true;
  if (err instanceof pg.DatabaseError) {
    const code = err.code ?? '';
    return transient.has(code) || transient.has(code.slice(0, 2));
  }
  if (!(err instanceof Error)) return false;
  const code = (err as NodeJS.ErrnoException).code;
  if (code !== undefined && networkCodes.has(code)) return true;
  // pg gives these no code.
  return /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error)/.test(
    err.message,
  );
}

/** The error as a TransientError if it is one, else as it is. */
export function classify(err: unknown): unknown {
  if (err instanceof TransientError || !isTransient(err)) return err;
  return new TransientError(`PostgreSQL: ${(err as Error).message}`, { cause: err });
}

/**
 * Runs `work` in one transaction on one connection: COMMIT if it resolves, ROLLBACK if it rejects. A connection
 * that fails is thrown away, not given back.
 *
 * @throws TransientError when the infrastructure failed, else what `work` threw
 */
export async function inTransaction<T>(pool: Pool, work: (client: Client) => Promise<T>): Promise<T> {
  let client: pg.PoolClient;
  try {
    client = await pool.connect();
  } catch (err) {
    throw classify(err);
  }
  let broken: Error | undefined;
  const onError = (err: Error) => {
    broken = err;
  };
  client.on('error', onError);
  try {
    await client.query('BEGIN');
    const result = await work(client);
    seam('database:before-commit');
    await client.query('COMMIT');
    seam('database:after-commit');
    return result;
  } catch (err) {
    await client.query('ROLLBACK').catch((failed: Error) => {
      broken ??= failed;
    });
    throw classify(err);
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}
