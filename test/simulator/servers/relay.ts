import type { Account } from '../world/account.ts';
import type { World } from '../world/world.ts';
import type { Call, Handler } from './http.ts';
import { pageOf, placeOf, repoLine } from './list.ts';
import { resolveHandle } from './pds.ts';
import { error, json, type Reply, redirect } from './reply.ts';

/** The calls of a relay: what it lists is not all there is, and repos it has none. */
export function relayHandler(world: World): Handler {
  const methods: Record<string, Handler> = {
    'com.atproto.sync.listRepos': (call) =>
      pageOf(world.accounts, call, (a) => (world.isListed(a) ? repoLine(world, a, 'active') : undefined)),
    'com.atproto.sync.listHosts': (call) => listHosts(world, call),
    'com.atproto.sync.listReposByCollection': (call) => listByCollection(world, call),
    'com.atproto.sync.getRepo': (call) => withAccount(world, call, (account) => toPds(call, account)),
    'com.atproto.sync.getLatestCommit': (call) => withAccount(world, call, ({ head }) => json(head)),
    'com.atproto.sync.getRepoStatus': (call) => withAccount(world, call, status),
    'com.atproto.identity.resolveHandle': (call) => resolveHandle(world, call),
  };
  return (call) => methods[call.method]?.(call) ?? error(404, 'NotFound');
}

function withAccount(world: World, { params }: Call, answer: (account: Account) => Reply): Reply {
  const account = world.byDid.get(params.get('did') ?? '');
  return account ? answer(account) : error(404, 'RepoNotFound');
}

function toPds({ params }: Call, { host, did }: Account): Reply {
  const query = new URLSearchParams({ did });
  if (params.has('since')) query.set('since', params.get('since')!);
  return redirect(`${host.url}/xrpc/com.atproto.sync.getRepo?${query}`);
}

function status({ did, active, status, rev }: Account): Reply {
  return json(active ? { did, active, rev } : { did, active, status });
}

function listHosts(world: World, call: Call): Reply {
  const { start, limit } = placeOf(call, 200);
  const hosts = world.hosts.slice(start, start + limit).map((host) => ({
    hostname: host.hostname,
    seq: host.feed.newest,
    accountCount: host.listings.length,
    status: 'active',
  }));
  const next = start + hosts.length;
  return json({ hosts, ...(next < world.hosts.length && { cursor: String(next) }) });
}

function listByCollection(world: World, call: Call): Reply {
  const prefix = `${call.params.get('collection') ?? ''}/`;
  return pageOf(world.accounts, call, (account) => {
    if (!world.isListed(account)) return undefined;
    for (const path of account.repo.records.keys()) if (path.startsWith(prefix)) return { did: account.did };
    return undefined;
  });
}
