import type { AddressInfo } from 'node:net';
import { createIdentity } from '@headwater/identity';
import { type Context, SettingsError, sleep, startOpsServer, supervise } from '@headwater/ops';
import { checkRedis, connect } from '@headwater/streams';
import { XrpcClient } from '@headwater/xrpc';
import { audited } from '../actions/audit.ts';
import { openSql } from '../open.ts';
import { Gatekeeper, isLoopback } from './auth.ts';
import { everyMs } from './history.ts';
import { Watch } from './overview.ts';
import { createPage } from './server.ts';

const readyMs = 2_000;

/** Serves the status page until the signal aborts. Nothing depends on it: it may be stopped at any moment. */
export async function serve({ settings, signal, log, metrics }: Context<'console'>): Promise<void> {
  const keeper = new Gatekeeper(settings);
  const { pageHost: host, pagePort: port } = settings;
  if (keeper.isOpen && !isLoopback(host)) {
    throw new SettingsError(
      'CONSOLE_OPERATOR_TOKEN',
      `is needed (or CONSOLE_VIEWER_TOKEN) when the page listens on ${host}: anybody could look and act.`,
    );
  }
  const redis = connect(settings.redisUrl, { name: 'headwater-console', log });
  const sql = openSql(settings, 'headwater console', 4);
  try {
    await using client = new XrpcClient(settings);
    const { identities, handles } = createIdentity({ client, store: redis, metrics, settings });
    const watch = new Watch({ redis, sql, settings });
    const tools = { redis, sql, client, identities, settings };
    const acts = metrics.counter('console_actions_total', 'Actions of operators on the status page.', [
      'action',
      'outcome',
    ]);
    const page = createPage({
      redis,
      keeper,
      lookup: { sql, identities, handles },
      look: watch.look,
      act: async (action, given, { role, by }) => {
        const act = { actor: `${role} (${by})`, action: action.name, subject: action.subject(given) };
        const reason = typeof given['why'] === 'string' ? given['why'].slice(0, 500) : undefined;
        try {
          const message = await audited(sql, { ...act, reason }, () => action.run(given, tools));
          acts.inc({ action: action.name, outcome: 'done' });
          log.info({ ...act, message }, 'an operator acted');
          return { message };
        } catch (error) {
          acts.inc({ action: action.name, outcome: 'failed' });
          throw error;
        } finally {
          watch.forget();
        }
      },
      onError: (err, path) => log.error({ err, path }, 'a request failed'),
    });
    await using _ops = await startOpsServer({
      port: settings.metricsPort,
      host: settings.metricsHost,
      metrics,
      log,
      ready: async () => ({
        redis: await said(checkRedis(redis, readyMs)),
        postgresql: await said(sql`SELECT 1`),
      }),
    });
    await page.listen({ host, port });
    const listening = (page.server.address() as AddressInfo).port;
    log.info({ url: `http://${host}:${listening}`, tokens: !keeper.isOpen }, 'the status page is served');
    const sampling = async (until: AbortSignal) => {
      while (!until.aborted) {
        await watch.sample();
        await sleep(everyMs, until);
      }
    };
    await supervise('samples', sampling, { signal, log, metrics });
    await page.close();
  } finally {
    redis.disconnect();
    await sql.end({ timeout: 5 });
  }
}

function said(check: PromiseLike<unknown>): PromiseLike<true | string> {
  return check.then(
    () => true as const,
    (error: Error) => error.message,
  );
}
