import { MigrationMismatchError, pendingMigrations } from '@headwater/database/migrate';
import type { Pool } from '@headwater/database/pool';
import { type Logger, sleep } from '@headwater/ops';
import { checkRedis, type Redis } from '@headwater/streams';

/** Longest wait of a dependency's answer before /readyz says so, in ms. */
const ANSWER_MS = 2_000;
const LOOK_AGAIN_MS = 1_000;

/** The database as this process found it. */
export interface Migrated {
  yet: boolean;
}

/** What /readyz says of each dependency. */
export async function ready(
  redis: Redis,
  pool: Pool,
  migrated: Migrated,
): Promise<Record<string, true | string>> {
  const [redisReady, databaseReady] = await Promise.all([
    said(checkRedis(redis, ANSWER_MS)),
    said(Promise.race([pool.query('SELECT 1'), late()])),
  ]);
  return {
    redis: redisReady,
    postgresql: databaseReady,
    migrations: migrated.yet || 'the database lacks migrations',
  };
}

/**
 * Waits for the one-shot command that migrates; never migrates by itself.
 *
 * @throws MigrationMismatchError, for which no waiting helps
 */
export async function untilMigrated(
  pool: Pool,
  schema: string,
  migrated: Migrated,
  { signal, log }: { signal: AbortSignal; log: Logger },
): Promise<void> {
  for (let told = false; !migrated.yet && !signal.aborted; told = true) {
    const missing = await pendingMigrations(pool, schema);
    migrated.yet = missing.length === 0;
    if (migrated.yet) return;
    if (!told) log.warn({ missing }, 'the database lacks migrations; waiting for `headwater migrate`');
    await sleep(LOOK_AGAIN_MS, signal);
  }
}

/** What no restart mends. */
export function isFatal(error: unknown): boolean {
  return error instanceof MigrationMismatchError;
}

async function said(check: Promise<unknown>): Promise<true | string> {
  return check.then(
    () => true as const,
    (error: Error) => error.message,
  );
}

async function late(): Promise<never> {
  await sleep(ANSWER_MS);
  throw new Error(`no answer within ${ANSWER_MS} ms`);
}
