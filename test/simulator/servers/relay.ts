import type { Account } from '../world/account.ts';
import type { World } from '../world/world.ts';
import { type Call, type Handler, sendError, sendJson } from './http.ts';
import { listRepos, repoLine, resolveHandle } from './pds.ts';

/** The calls of a relay: what it lists is not all there is, and repos it has none. */
export function relayHandler(world: World): Handler {
  const methods: Record<string, (call: Call) => void> = {
    'com.atproto.sync.listRepos': (call) =>
      listRepos(world.accounts, call, (account) =>
        world.isListed(account) ? repoLine(world, account, 'active') : undefined,
      ),
    'com.atproto.sync.listHosts': (call) => listHosts(world, call),
    'com.atproto.sync.listReposByCollection': (call) => listByCollection(world, call),
    'com.atproto.sync.getRepo': (call) => withAccount(world, call, (account) => redirect(call, account)),
    'com.atproto.sync.getLatestCommit': (call) =>
      withAccount(world, call, ({ head }) => sendJson(call.res, head)),
    'com.atproto.sync.getRepoStatus': (call) => withAccount(world, call, (account) => status(call, account)),
    'com.atproto.identity.resolveHandle': (call) => resolveHandle(world, call),
  };
  return (call) => {
    const answer = methods[call.method];
    if (answer) answer(call);
    else sendError(call.res, 404, 'NotFound');
  };
}

function withAccount(world: World, { params, res }: Call, answer: (account: Account) => void): void {
  const account = world.byDid.get(params.get('did') ?? '');
  if (account) answer(account);
  else sendError(res, 404, 'RepoNotFound');
}

function redirect({ params, res }: Call, { host, did }: Account): void {
  const since = params.get('since');
  const query = `did=${encodeURIComponent(did)}${since ? `&since=${since}` : ''}`;
  res.writeHead(302, { location: `${host.url}/xrpc/com.atproto.sync.getRepo?${query}` });
  res.end();
}

function status({ res }: Call, { did, active, status, rev }: Account): void {
  sendJson(res, active ? { did, active, rev } : { did, active, status });
}

function listHosts(world: World, { params, res }: Call): void {
  const limit = Number(params.get('limit') ?? 200) || 200;
  const start = Number(params.get('cursor') ?? 0) || 0;
  const hosts = world.hosts.slice(start, start + limit).map((host) => ({
    hostname: host.hostname,
    seq: host.feed.newest,
    accountCount: host.listings.length,
    status: 'active',
  }));
  const next = start + hosts.length;
  sendJson(res, { hosts, ...(next < world.hosts.length && { cursor: String(next) }) });
}

function listByCollection(world: World, call: Call): void {
  const prefix = `${call.params.get('collection') ?? ''}/`;
  listRepos(world.accounts, call, (account) => {
    if (!world.isListed(account)) return undefined;
    for (const path of account.repo.records.keys()) if (path.startsWith(prefix)) return { did: account.did };
    return undefined;
  });
}
