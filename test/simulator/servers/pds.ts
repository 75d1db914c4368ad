import { car } from '../protocol/car.ts';
import { cidOf, cidText } from '../protocol/cid.ts';
import type { Account } from '../world/account.ts';
import { type Host, type Listing, type Phantom, statusAt } from '../world/host.ts';
import type { World } from '../world/world.ts';
import type { CarStore } from './car-store.ts';
import type { Call, Handler } from './http.ts';
import { pageOf, repoLine } from './list.ts';
import { error, FileReply, json, type Reply, reply } from './reply.ts';

const CAR = 'application/vnd.ipld.car';
const DISABLED: Record<string, string> = {
  deactivated: 'RepoDeactivated',
  suspended: 'RepoSuspended',
  takendown: 'RepoTakendown',
};

/** The calls of a PDS host that a mirror of the network makes. */
export function pdsHandler(world: World, host: Host, store?: CarStore): Handler {
  const server = { did: 'did:web:localhost', availableUserDomains: ['.test'], inviteCodeRequired: false };
  const methods: Record<string, Handler> = {
    'com.atproto.sync.listRepos': (call) => pageOf(host.listings, call, (l) => listed(world, l)),
    'com.atproto.sync.getRepo': (call) => withRepo(host, call, (a) => repoReply(host, a, store)),
    'com.atproto.sync.getLatestCommit': (call) => withRepo(host, call, ({ head }) => json(head)),
    'com.atproto.sync.getRepoStatus': (call) => repoStatus(host, call),
    'com.atproto.server.describeServer': () => json(server),
    'com.atproto.identity.resolveHandle': (call) => resolveHandle(world, call),
    '/.well-known/atproto-did': (call) => wellKnown(world, call),
  };
  return (call) => methods[call.method]?.(call) ?? error(501, 'MethodNotImplemented');
}

function listed(world: World, listing: Listing | Phantom): Record<string, unknown> | undefined {
  if ('phantom' in listing) return phantomLine(listing.phantom);
  const status = statusAt(listing);
  return status === 'deleted' ? undefined : repoLine(world, listing.account, status);
}

function phantomLine(did: string): Record<string, unknown> {
  return { did, head: cidText(cidOf(Buffer.from(did))), rev: '3kzzzzzzzzz22', active: true };
}

function withRepo(host: Host, { params }: Call, answer: (account: Account) => Reply): Reply {
  const listing = host.listing(params.get('did') ?? '');
  if (!listing) return notFound();
  const disabled = DISABLED[statusAt(listing)];
  return disabled ? error(400, disabled) : answer(listing.account);
}

function notFound(): Reply {
  return error(400, 'RepoNotFound', 'Could not find repo');
}

function repoReply(host: Host, account: Account, store: CarStore | undefined): Reply {
  if (!store || account.changed) return carReply(carOf(host, account));
  return new FileReply(
    store.path(account, () => carOf(host, account)),
    CAR,
  );
}

export function carReply(bytes: Buffer): Reply {
  return reply(bytes, CAR);
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

function repoStatus(host: Host, { params }: Call): Reply {
  const listing = host.listing(params.get('did') ?? '');
  if (!listing) return notFound();
  const { did, rev } = listing.account;
  const status = statusAt(listing);
  return json(status === 'active' ? { did, active: true, rev } : { did, active: false, status });
}

/** com.atproto.identity.resolveHandle. */
export function resolveHandle(world: World, { params }: Call): Reply {
  const account = world.byHandle.get((params.get('handle') ?? '').toLowerCase());
  return account ? json({ did: account.did }) : error(400, 'HandleNotFound', 'Unable to resolve handle');
}

function wellKnown(world: World, { req }: Call): Reply {
  const account = world.byHandle.get((req.headers.host ?? '').split(':')[0]!);
  return reply(account?.did ?? 'User not found', 'text/plain', account ? 200 : 404);
}
