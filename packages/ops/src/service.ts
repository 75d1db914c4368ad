import { randomUUID } from 'node:crypto';
import { collectLessOften } from './garbage.ts';
import { createLogger, type Logger } from './log.ts';
import { Metrics } from './metrics.ts';
import { type Service, SettingsError } from './settings/declare.ts';
import { loadSettings, type SettingsOf } from './settings/load.ts';

export interface Context<S extends Service> {
  /** Aborted by SIGTERM or SIGINT: take nothing new, finish what is in hand. */
  signal: AbortSignal;
  log: Logger;
  metrics: Metrics;
  settings: SettingsOf<S> & { metricsPort: number };
}

const defaultPorts: Record<Service, number> = {
  ingester: 9101,
  'repo-backfiller': 9102,
  indexer: 9103,
  console: 9104,
};

/**
 * The life of a service's process: settings, then `main` until a signal, then
 * the drain, bounded by HEADWATER_DRAIN_MS. Exits 0 after a drain, 1 after a
 * failure, 2 on bad settings; what failed is one line.
 */
export async function runService<S extends Service>(
  name: S,
  main: (ctx: Context<S>) => Promise<void>,
): Promise<never> {
  const settings = settingsOrExit(name);
  collectLessOften();
  // One process from start to end: its lines are told apart from those of its other copies and of its last life.
  const log = createLogger(name, settings.logLevel).child({ run: randomUUID().slice(0, 8) });
  const stop = new AbortController();
  for (const signalName of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signalName, () => begin(signalName));
  }
  process.on('unhandledRejection', (err) => fatal(log, err, 'a promise failed that nobody awaited'));
  process.on('uncaughtException', (err) => fatal(log, err, 'an error that nobody caught'));

  function begin(reason: string) {
    if (stop.signal.aborted) return;
    log.info({ reason, drainMs: settings.drainMs }, 'stopping: finishing what is in hand');
    stop.abort(new Error(`stopped by ${reason}`));
    setTimeout(
      () => fatal(log, undefined, 'the drain took too long; unfinished entries go back to the stream'),
      settings.drainMs,
    ).unref();
  }

  try {
    log.info({ node: process.version, pid: process.pid }, 'starting');
    await main({ signal: stop.signal, log, metrics: new Metrics(name), settings });
    log.info('stopped');
  } catch (err) {
    if (err instanceof SettingsError) refuse(name, err);
    fatal(log, err, 'the service failed');
  }
  process.exit(0);
}

function settingsOrExit<S extends Service>(name: S): Context<S>['settings'] {
  try {
    const settings = loadSettings(name);
    return { ...settings, metricsPort: settings.metricsPort ?? defaultPorts[name] };
  } catch (err) {
    if (!(err instanceof SettingsError)) throw err;
    refuse(name, err);
  }
}

/** Settings may also be found wrong when they are put together. */
function refuse(name: Service, err: SettingsError): never {
  process.stderr.write(`headwater ${name} can't start. ${err.message}\n`);
  process.exit(2);
}

function fatal(log: Logger, err: unknown, message: string): never {
  log.fatal({ err }, message);
  log.flush();
  process.exit(1);
}
