import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as immediate } from 'node:timers/promises';
import type { Network } from './network.ts';

/** Where the parts of a network are: what `main.ts` prints. */
export interface Addresses {
  plcUrl: string;
  relayUrl: string;
  relayUrls: string[];
  hosts: string[];
  labelerUrls: string[];
  controlUrl: string;
}

type Args = Record<string, unknown>;

/** Calls by which a network in a process of its own is driven: `POST /NAME` with a JSON object. */
const CALLS: Record<string, (network: Network, args: never) => unknown> = {
  state: (network) => ({ newestSeq: network.newestSeq, accounts: network.world.accounts.length }),
  run: (network, args: { operations: number; perSecond?: number }) => network.run(args),
  inject: (network, args: Parameters<Network['faults']['inject']>[0]) => {
    network.faults.inject(args);
  },
  clear: (network) => network.faults.clear(),
  poison: (network, { did, fault }: { did: string; fault: Parameters<Network['poison']>[1] }) =>
    network.poison(did, fault),
  plant: (network, { did, name }: { did: string; name: Parameters<Network['plant']>[1] }) =>
    network.plant(did, name),
  nextCommit: (network, { did, name }: { did: string; name: Parameters<Network['events']['next']>[1] }) =>
    network.events.next(did, name),
  eventRate: (
    network,
    { name, probability }: { name: Parameters<Network['events']['rate']>[0]; probability: number },
  ) => network.events.rate(name, probability),
  stream: (network, { fault, ...args }: { fault: 'drop' | 'outdate' | 'reset' | 'refuse' } & Args) =>
    network.streams[fault](args as never),
  cut: (network, { service }: { service?: string }) => network.streams.cut(service),
  zombie: (network, { service }: { service?: string }) => network.streams.zombie(service),
  tooSlow: (network, { service }: { service?: string }) => network.streams.tooSlow(service),
  poisonFrame: (
    network,
    { name, service }: { name: Parameters<Network['streams']['poison']>[0]; service?: string },
  ) => network.streams.poison(name, service),
  prepare: (network) => network.prepare(),
  settle: (network) => network.settle(),
  injected: (network) => network.injected,
  counts: (network) => {
    const { undecided, ...counts } = network.truth().counts();
    const plain = Object.entries(counts).map(([name, map]) => [name, Object.fromEntries(map)]);
    return { ...Object.fromEntries(plain), undecided: [...undecided] };
  },
  tolerated: (network) => [...network.truth().tolerated()],
};

/** What is too long for one JSON value comes as a line for each: `GET /NAME`. */
const LISTS: Record<string, (network: Network, params: URLSearchParams) => Iterable<unknown>> = {
  actors: (network) => network.truth().actors(),
  records: (network, params) => network.truth().records((params.get('rows') ?? 'all') as 'all'),
  labels: (network) => network.truth().labels(),
};

/** Opens a network to be driven over HTTP, on loopback. */
export async function serveControl(network: Network): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((req, res) => {
    answer(network, req, res).catch((err: unknown) => {
      if (res.headersSent) return res.destroy();
      res.writeHead(400, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ error: String(err) }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(network: Network, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const url = new URL(req.url ?? '/', 'http://control');
  const name = url.pathname.slice(1);
  if (req.method === 'GET') {
    await sendLines(res, LISTS[name]!(network, url.searchParams));
    return;
  }
  let body = '';
  for await (const chunk of req) body += chunk;
  const result = await CALLS[name]!(network, (body === '' ? {} : JSON.parse(body)) as never);
  res.writeHead(200, { 'content-type': 'application/json' });
  res.end(JSON.stringify(result ?? null));
}

async function sendLines(res: ServerResponse, items: Iterable<unknown>): Promise<void> {
  res.writeHead(200, { 'content-type': 'application/jsonlines' });
  let text = '';
  for (const item of items) {
    text += `${JSON.stringify(item)}\n`;
    if (text.length < 1 << 16) continue;
    const isTaken = res.write(text);
    text = '';
    if (isTaken) await immediate();
    else await new Promise((resolve) => res.once('drain', resolve));
  }
  res.end(text);
}

export function addressesOf(network: Network, controlUrl: string): Addresses {
  const { plcUrl, relayUrl, relayUrls, hosts, labelerUrls } = network;
  return { plcUrl, relayUrl, relayUrls, hosts, labelerUrls, controlUrl };
}
