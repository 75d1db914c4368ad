import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';

export interface OpsServer extends AsyncDisposable {
  port: number;
}

export interface OpsServerOptions {
  port: number;
  host: string;
  metrics: Metrics;
  log: Logger;
  /** Each dependency by name: true, or a sentence that says what is missing. */
  ready: () => Promise<Record<string, true | string>>;
}

/**
 * Serves /metrics, /healthz (the process lives; looks at no dependency, so an
 * outage of Redis restarts nothing) and /readyz (200 when every dependency answers).
 */
export async function startOpsServer(options: OpsServerOptions): Promise<OpsServer> {
  const server = createServer((req, res) => {
    respond(req, res, options).catch((err) => {
      options.log.warn({ err }, 'the metrics page failed');
      if (!res.headersSent) res.writeHead(500);
      res.end();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function respond(req: IncomingMessage, res: ServerResponse, { metrics, ready }: OpsServerOptions) {
  const path = req.url?.split('?')[0];
  if (path === '/metrics') {
    const body = await metrics.registry.metrics();
    res.writeHead(200, { 'content-type': metrics.registry.contentType }).end(body);
  } else if (path === '/healthz') {
    json(res, 200, { status: 'alive' });
  } else if (path === '/readyz') {
    const parts = await ready();
    const ok = Object.values(parts).every((part) => part === true);
    json(res, ok ? 200 : 503, { status: ok ? 'ready' : 'not ready', parts });
  } else {
    json(res, 404, { error: 'there is /metrics, /healthz and /readyz' });
  }
}

function json(res: ServerResponse, status: number, body: object): void {
  res.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
}
