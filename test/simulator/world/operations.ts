import type { Ref } from '../content/catalog.ts';
import { POST } from '../content/catalog.ts';
import { makePost } from '../content/post.ts';
import type { Random } from '../content/random.ts';
import { profile } from '../content/records.ts';
import { name, words } from '../content/text.ts';
import type { Json } from '../protocol/cbor.ts';
import type { Account } from './account.ts';
import type { Change } from './repo.ts';
import type { Subjects } from './subjects.ts';
import type { World } from './world.ts';

/** Makes the changes of one commit; none where the account has nothing to change. */
type Writer = (at: Desk) => Change[];

/** Who writes, with what, about what. */
export interface Desk {
  world: World;
  account: Account;
  random: Random;
  subjects: Subjects;
}

/** What people write, by weight. */
const WRITERS: Record<string, [weight: number, writer: Writer]> = {
  like: [42, (at) => reaction(at, 'app.bsky.feed.like')],
  repost: [7, (at) => reaction(at, 'app.bsky.feed.repost')],
  post: [16, post],
  follow: [10, (at) => relation(at, 'app.bsky.graph.follow')],
  block: [2, (at) => relation(at, 'app.bsky.graph.block')],
  remove: [11, remove],
  edit: [3, edit],
  profile: [2, changeProfile],
  gate: [1, gate],
  list: [1, listWithItems],
  foreign: [0.5, foreign],
  several: [3, several],
  clearOut: [0.6, clearOut],
  bulk: [0.05, bulk],
};
const WEIGHTS = Object.fromEntries(Object.entries(WRITERS).map(([name, [weight]]) => [name, weight]));

/** The changes of a commit as somebody might make it; each path once. */
export function someChanges(desk: Desk): Change[] {
  return WRITERS[desk.random.weighted(WEIGHTS)]![1](desk);
}

function create(at: Desk, collection: string, json: Json, rkey = at.world.tid()): Change {
  return { action: 'create', path: `${collection}/${rkey}`, json: { $type: collection, ...json } };
}

function now({ world }: Desk): string {
  return new Date(world.now).toISOString();
}

function reaction(at: Desk, collection: string): Change[] {
  return [create(at, collection, { subject: ref(at.subjects.draw(at.random)), createdAt: now(at) })];
}

function ref({ uri, cid }: Ref): Ref {
  return { uri, cid };
}

function somebody({ world, random }: Desk): Account {
  return world.accounts[random.popular(world.accounts.length)]!;
}

function relation(at: Desk, collection: string): Change[] {
  const subject = somebody(at).did;
  return subject === at.account.did ? post(at) : [create(at, collection, { subject, createdAt: now(at) })];
}

function post(at: Desk): Change[] {
  const { random, subjects, world } = at;
  const parent = random.chance(0.35) ? subjects.draw(random) : undefined;
  const quoted = random.chance(0.06) ? subjects.draw(random) : undefined;
  const json = makePost(random, world.now, { parent, quoted, mentioned: somebody(at).did });
  const change = create(at, POST, json);
  subjects.add(`at://${at.account.did}/${change.path}`, json);
  return [change];
}

/** Any record of the account. */
function remove(at: Desk): Change[] {
  const path = at.account.changingRepo.draw(at.random);
  return path === undefined ? post(at) : [removal(at, path)];
}

function removal({ world, account }: Desk, path: string): Change {
  if (path.startsWith('app.bsky.feed.threadgate/')) {
    world.ungated.add(`at://${account.did}/${POST}/${path.split('/')[1]}`);
  }
  return { action: 'delete', path };
}

const NAMED: Record<string, string> = {
  [POST]: 'text',
  'app.bsky.graph.list': 'name',
  'app.bsky.graph.starterpack': 'name',
  'app.bsky.feed.generator': 'displayName',
};

/** The shortest limit of any of these (a feed's display name), in graphemes. */
const SHORT = 24;

/** Another text or name; what a record points at stays. */
function edit(at: Desk): Change[] {
  const { account, random } = at;
  const repo = account.changingRepo;
  for (let tries = 0; tries < 12; tries++) {
    const path = repo.draw(random);
    const field = path && NAMED[path.slice(0, path.indexOf('/'))];
    if (!field || at.world.odd.has(`at://${account.did}/${path}`)) continue;
    const { facets: _, ...json } = repo.json(path)!;
    return [{ action: 'update', path, json: { ...json, [field]: name(random, 2 + random.below(4), SHORT) } }];
  }
  return changeProfile(at);
}

function changeProfile({ world, account, random }: Desk): Change[] {
  const path = 'app.bsky.actor.profile/self';
  const action = account.changingRepo.records.has(path) ? 'update' : 'create';
  return [{ action, path, json: profile(world.catalog, account.index, random) }];
}

function gate(at: Desk): Change[] {
  const [written] = post(at);
  const [, rkey] = written!.path.split('/');
  const collection = 'app.bsky.feed.threadgate';
  const json = { post: `at://${at.account.did}/${written!.path}`, allow: [], createdAt: now(at) };
  return [written!, create(at, collection, json, rkey)];
}

function listWithItems(at: Desk): Change[] {
  const purpose = 'app.bsky.graph.defs#curatelist';
  const list = create(at, 'app.bsky.graph.list', { name: words(at.random, 2), purpose, createdAt: now(at) });
  const uri = `at://${at.account.did}/${list.path}`;
  const items = Array.from({ length: 1 + at.random.below(6) }, () => {
    const json = { list: uri, subject: somebody(at).did, createdAt: now(at) };
    return create(at, 'app.bsky.graph.listitem', json);
  });
  return [list, ...items];
}

function foreign(at: Desk): Change[] {
  return [create(at, 'org.example.note', { text: words(at.random, 9), createdAt: now(at) })];
}

/** Two to six writes of any kind in one commit. */
function several(at: Desk): Change[] {
  const kinds = [post, post, remove, edit, (d: Desk) => reaction(d, 'app.bsky.feed.like')];
  const all = Array.from({ length: 2 + at.random.below(5) }, () => at.random.pick(kinds)(at)).flat();
  return distinct(all);
}

/** Many deletions at once. */
function clearOut(at: Desk): Change[] {
  const repo = at.account.changingRepo;
  const count = Math.min(5 + at.random.below(40), Math.floor(repo.records.size / 4));
  const paths = Array.from({ length: count }, () => repo.draw(at.random)!);
  return distinct(paths.map((path) => removal(at, path)));
}

/** As many as a commit may hold. */
function bulk(at: Desk): Change[] {
  return Array.from({ length: 200 }, () => reaction(at, 'app.bsky.feed.like')).flat();
}

function distinct(changes: Change[]): Change[] {
  return [...new Map(changes.map((change) => [change.path, change])).values()];
}
