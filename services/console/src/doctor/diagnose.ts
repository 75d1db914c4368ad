import { createLogger, loadSettings, SettingsError } from '@headwater/ops';
import { checkRedis, connect } from '@headwater/streams';
import { type ConsoleSettings, openSql } from '../open.ts';
import { disks } from '../page/storage.ts';
import { size } from '../table.ts';
import { error, type Finding, messageOf, ok, warning } from './finding.ts';
import { postgresFindings } from './postgres.ts';
import { redisFindings } from './redis.ts';
import { streamFindings } from './streams.ts';

export interface DiagnoseOptions {
  env?: Record<string, string | undefined>;
  /** This machine's clock, in ms. */
  now?: () => number;
  /** How long a consumer is silent before it is taken for gone. */
  consumerGoneMs?: number;
}

/** Share of a disk below which it is called full soon. */
const leastFree = 0.1;

/**
 * Looks at everything that an installation needs, in the order in which one
 * thing needs the other. Never throws for what it finds.
 */
export async function diagnose(options: DiagnoseOptions = {}): Promise<Finding[]> {
  const settings = readSettings(options.env);
  if ('level' in settings) return [settings];
  const [redis, postgres, disk] = await Promise.all([
    lookAtRedis(settings, options),
    lookAtPostgres(settings, options),
    lookAtDisks(settings),
  ]);
  return [ok('settings', 'complete, and every variable is known'), ...redis, ...postgres, ...disk];
}

function readSettings(env: DiagnoseOptions['env']): ConsoleSettings | Finding {
  try {
    return loadSettings('console', env);
  } catch (err) {
    if (!(err instanceof SettingsError)) throw err;
    return error('settings', err.message, 'Correct the variable; docs/configuration.md lists them all.');
  }
}

async function lookAtRedis(settings: ConsoleSettings, options: DiagnoseOptions): Promise<Finding[]> {
  const { now = Date.now, consumerGoneMs } = options;
  const redis = connect(settings.redisUrl, {
    name: 'headwater-doctor',
    log: createLogger('console', 'silent'),
  });
  try {
    await checkRedis(redis);
    const found = await redisFindings(redis, now);
    return [ok('Redis', 'answers'), ...found, ...(await streamFindings(redis, settings, consumerGoneMs))];
  } catch (err) {
    const message = messageOf(err);
    const fix = /WRONGPASS|NOAUTH/.test(message)
      ? 'The password is wrong: correct it in REDIS_URL (or in the file of REDIS_URL_FILE).'
      : 'See that Redis runs and that REDIS_URL names it.';
    return [error('Redis', message, fix)];
  } finally {
    redis.disconnect();
  }
}

async function lookAtPostgres(
  settings: ConsoleSettings,
  { now = Date.now }: DiagnoseOptions,
): Promise<Finding[]> {
  const sql = openSql(settings, 'headwater doctor', 1);
  try {
    await sql`SELECT 1`;
    return [ok('PostgreSQL', 'answers'), ...(await postgresFindings(sql, settings, now))];
  } catch (err) {
    return [error('PostgreSQL', messageOf(err), postgresFix((err as { code?: string }).code))];
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** By the class of SQLSTATE. */
function postgresFix(code: string | undefined): string {
  if (code === '28P01' || code === '28000')
    return 'User or password is wrong: correct DATABASE_URL (or the file of DATABASE_URL_FILE).';
  if (code === '3D000') return 'Make the database, or correct its name in DATABASE_URL.';
  if (code === '53300') return 'All connections are in use: raise max_connections, or run fewer copies.';
  return 'See that PostgreSQL runs and that DATABASE_URL names it.';
}

async function lookAtDisks({ diskPaths }: ConsoleSettings): Promise<Finding[]> {
  return (await disks(diskPaths)).map(({ path, freeBytes, totalBytes }) => {
    const what = `${size(freeBytes)} of ${size(totalBytes)} free on the disk of ${path}`;
    if (freeBytes > leastFree * totalBytes) return ok('disk', what);
    return warning('disk', what, 'Make room: docs/runbooks/HeadwaterDiskFull.md says where.');
  });
}
