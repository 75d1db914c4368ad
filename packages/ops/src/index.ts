/**
 * The operations kit that every service shares: settings, logs, metrics,
 * health, supervision and shutdown.
 *
 * Owns: the declaration of every setting, the process's life from start to
 * drain. Refuses to know: streams, tables, the network. Holds no durable
 * state, so a crash can neither repeat nor lose anything here.
 */
export { backoff, sleep, TransientError, untilAborted } from './backoff.ts';
export { Batcher } from './batcher.ts';
export { createLogger, type Logger } from './log.ts';
export { Metrics } from './metrics.ts';
export { onAbort } from './on-abort.ts';
export { type OpsServer, startOpsServer } from './ops-server.ts';
export { COMMAND_SEAMS, SEAMS, type Seam, seam } from './seam.ts';
export { type Context, runService } from './service.ts';
export { type Service, SettingsError } from './settings/declare.ts';
export { renderConfiguration, renderEnvExample } from './settings/document.ts';
export {
  type BackfillerSettings,
  type CommonSettings,
  type IndexerSettings,
  type IngesterSettings,
  knownVariables,
  loadSettings,
  type SettingsOf,
} from './settings/load.ts';
export { supervise } from './supervise.ts';
