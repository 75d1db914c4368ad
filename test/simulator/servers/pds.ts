import { car } from '../protocol/car.ts';
import type { Account } from '../world/account.ts';
import { type Host, type Listing, statusAt } from '../world/host.ts';
import type { World } from '../world/world.ts';
import { type Call, type Handler, sendError, sendJson } from './http.ts';

const DISABLED: Record<string, string> = {
  deactivated: 'RepoDeactivated',
  suspended: 'RepoSuspended',
  takendown: 'RepoTakendown',
};

/** The calls of a PDS host that a mirror of the network makes. */
export function pdsHandler(world: World, host: Host): Handler {
  const methods: Record<string, (call: Call) => void> = {
    'com.atproto.sync.listRepos': (call) => listRepos(host.listings, call, (l) => listed(world, l)),
    'com.atproto.sync.getRepo': (call) => withRepo(host, call, (account) => sendRepo(host, account, call)),
    'com.atproto.sync.getLatestCommit': (call) =>
      withRepo(host, call, ({ head }) => sendJson(call.res, head)),
    'com.atproto.sync.getRepoStatus': (call) => repoStatus(host, call),
    'com.atproto.server.describeServer': ({ res }) =>
      sendJson(res, { did: 'did:web:localhost', availableUserDomains: ['.test'], inviteCodeRequired: false }),
    'com.atproto.identity.resolveHandle': (call) => resolveHandle(world, call),
    '/.well-known/atproto-did': (call) => wellKnown(world, call),
  };
  return (call) => {
    const answer = methods[call.method];
    if (answer) answer(call);
    else sendError(call.res, 501, 'MethodNotImplemented');
  };
}

/** A page of a list; the cursor is the place in it. */
export function listRepos<T>(
  all: readonly T[],
  { params, res }: Call,
  show: (item: T) => Record<string, unknown> | undefined,
): void {
  const limit = Math.min(Math.max(Number(params.get('limit') ?? 500) || 500, 1), 1000);
  const start = Number(params.get('cursor') ?? 0) || 0;
  const repos: Record<string, unknown>[] = [];
  let at = start;
  for (; at < all.length && repos.length < limit; at++) {
    const line = show(all[at]!);
    if (line) repos.push(line);
  }
  sendJson(res, { repos, ...(at < all.length && { cursor: String(at) }) });
}

function listed(world: World, listing: Listing): Record<string, unknown> | undefined {
  const status = statusAt(listing);
  if (status === 'deleted') return undefined;
  return repoLine(world, listing.account, status);
}

/** A line of listRepos. */
export function repoLine(world: World, account: Account, status: string): Record<string, unknown> {
  const { did, rev } = account;
  const head = world.headOf(account);
  return status === 'active' ? { did, head, rev, active: true } : { did, head, rev, active: false, status };
}

function withRepo(host: Host, { params, res }: Call, answer: (account: Account) => void): void {
  const listing = host.listing(params.get('did') ?? '');
  const disabled = listing && DISABLED[statusAt(listing)];
  if (!listing) sendError(res, 400, 'RepoNotFound', 'Could not find repo');
  else if (disabled) sendError(res, 400, disabled);
  else answer(listing.account);
}

function sendRepo(host: Host, account: Account, { res }: Call): void {
  res.writeHead(200, { 'content-type': 'application/vnd.ipld.car' });
  res.end(carOf(host, account));
}

/**
 * An account's repo as its host sends it: some hosts walk the tree, others send
 * what their block store holds, in the order of its keys.
 */
export function carOf(host: Host, { repo }: Account): Buffer {
  if (host.index % 3 !== 1) return repo.car();
  const [commit, ...blocks] = repo.blocks();
  blocks.sort(([a], [b]) => a.compare(b));
  return car(repo.commit.cid, [commit!, ...blocks]);
}

function repoStatus(host: Host, { params, res }: Call): void {
  const listing = host.listing(params.get('did') ?? '');
  if (!listing) {
    sendError(res, 400, 'RepoNotFound', 'Could not find repo');
    return;
  }
  const { did, rev } = listing.account;
  const status = statusAt(listing);
  sendJson(res, status === 'active' ? { did, active: true, rev } : { did, active: false, status });
}

/** com.atproto.identity.resolveHandle. */
export function resolveHandle(world: World, { params, res }: Call): void {
  const account = world.byHandle.get((params.get('handle') ?? '').toLowerCase());
  if (account) sendJson(res, { did: account.did });
  else sendError(res, 400, 'HandleNotFound', 'Unable to resolve handle');
}

function wellKnown(world: World, { req, res }: Call): void {
  const account = world.byHandle.get((req.headers.host ?? '').split(':')[0]!);
  res.writeHead(account ? 200 : 404, { 'content-type': 'text/plain' });
  res.end(account?.did ?? 'User not found');
}
