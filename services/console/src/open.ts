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

export type Sql = postgres.Sql;

/** Runs a command with PostgreSQL open; closed afterwards, whatever happens. */
export async function withSql<T>(
  settings: Pick<ConsoleSettings, 'databaseUrl' | 'databaseSchema'>,
  run: (sql: Sql) => Promise<T>,
): Promise<T> {
  const sql = postgres(settings.databaseUrl, {
    max: 2,
    connect_timeout: 10,
    onnotice: () => {},
    connection: {
      application_name: 'headwater command',
      search_path: `${settings.databaseSchema},public`,
    },
  });
  try {
    return await run(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
