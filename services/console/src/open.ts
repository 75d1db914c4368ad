import { createLogger, loadSettings, type SettingsOf } from '@headwater/ops';
import { checkRedis, connect, type Redis } from '@headwater/streams';
import postgres from 'postgres';

export type ConsoleSettings = SettingsOf<'console'>;

/** Runs a command with Redis open; closed afterwards, whatever happens. */
export async function withRedis<T>(run: (redis: Redis, settings: ConsoleSettings) => Promise<T>): Promise<T> {
  const settings = loadSettings('console');
  const redis = connect(settings.redisUrl, {
    name: 'headwater-command',
    log: createLogger('console', 'silent'),
  });
  try {
    await checkRedis(redis);
    return await run(redis, settings);
  } finally {
    redis.disconnect();
  }
}

/** Runs a command that opens what it needs by itself. */
export function withSettings<T>(run: (settings: ConsoleSettings) => Promise<T>): Promise<T> {
  return run(loadSettings('console'));
}

export type Sql = postgres.Sql;

/** Runs a command with PostgreSQL open; closed afterwards, whatever happens. */
export async function withSql<T>(
  settings: Pick<ConsoleSettings, 'databaseUrl' | 'databaseSchema'>,
  run: (sql: Sql) => Promise<T>,
): Promise<T> {
  const sql = openSql(settings, 'headwater command', 2);
  try {
    return await run(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** PostgreSQL for as long as the caller needs it; it has to end it. */
export function openSql(
  { databaseUrl, databaseSchema }: Pick<ConsoleSettings, 'databaseUrl' | 'databaseSchema'>,
  name: string,
  max: number,
): Sql {
  return postgres(databaseUrl, {
    max,
    connect_timeout: 10,
    onnotice: () => {},
    connection: { application_name: name, search_path: `${databaseSchema},public` },
  });
}
