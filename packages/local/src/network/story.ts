import { type Account, createAccount, login, type RecordRef, type Write } from './account.ts';
import { Random } from './random.ts';

const NAMES = [
  ...[
    'alice',
    'bruno',
    'carla',
    'dmitri',
    'elena',
    'farid',
    'grace',
    'hiro',
    'ines',
    'jonas',
    'keiko',
    'liam',
  ],
  ...[
    'maria',
    'nadia',
    'oscar',
    'priya',
    'quentin',
    'rosa',
    'samir',
    'tomas',
    'ulrike',
    'viktor',
    'wanda',
    'yusuf',
  ],
];

const THOUGHTS = [
  ...['The river is high today', 'Rain on the hills since Tuesday', 'Found a spring behind the mill'],
  ...['Where does all this water go?', 'First snow on the pass', 'The gauge at the bridge says 2.4 m'],
  ...['Herons again', 'Who moved my boat?', 'Ice on the upper lake', 'Mapping the tributaries, part'],
];

/** How far the story's past goes back from its last day, which is the same for everyone who starts it. */
const YEAR_MS = 365 * 86_400_000;
const LAST_DAY = Date.parse('2026-06-30T12:00:00Z');

/**
 * Fills an empty PDS: 24 accounts with profiles, posts, replies, quotes, likes,
 * reposts, follows, blocks and lists, of which some are deleted again.
 *
 * @param told called with the number of accounts and records so far
 */
export async function tellPast(
  pdsUrl: string,
  told: (accounts: number, records: number) => void,
): Promise<void> {
  const random = new Random(1);
  const accounts: Account[] = [];
  const posts: RecordRef[] = [];
  let records = 0;
  for (const name of NAMES) {
    const account = await createAccount(pdsUrl, name);
    accounts.push(account);
    posts.push(...(await account.write(openingOf(name, random))).slice(1));
    records = posts.length + accounts.length;
    told(accounts.length, records);
  }
  for (const account of accounts) {
    const refs = await account.write(societyOf(account, accounts, posts, random));
    const regrets = random.some(refs, Math.ceil(refs.length / 20));
    await account.write(regrets.map(removal));
    records += refs.length - regrets.length;
    told(accounts.length, records);
  }
}

/** A profile, then posts. */
function openingOf(name: string, random: Random): Write[] {
  const displayName = name[0]!.toUpperCase() + name.slice(1);
  const profile = {
    displayName,
    description: `${displayName} of the small network`,
    createdAt: past(random),
  };
  const posts = Array.from({ length: random.between(15, 60) }, () => newPost(random));
  return [{ action: 'create', collection: 'app.bsky.actor.profile', rkey: 'self', value: profile }, ...posts];
}

/** What an account does with the others: nothing twice to the same subject. */
function societyOf(me: Account, accounts: Account[], posts: RecordRef[], random: Random): Write[] {
  const others = accounts.filter((account) => account !== me).map((account) => account.did);
  const on = (collection: string, value: Record<string, unknown>) =>
    create(collection, { ...value, createdAt: past(random) });
  return [
    ...random.some(others, random.between(4, 16)).map((subject) => on('app.bsky.graph.follow', { subject })),
    ...random.some(others, random.between(0, 2)).map((subject) => on('app.bsky.graph.block', { subject })),
    ...random.some(posts, random.between(20, 90)).map((subject) => on('app.bsky.feed.like', { subject })),
    ...random.some(posts, random.between(2, 12)).map((subject) => on('app.bsky.feed.repost', { subject })),
    ...random
      .some(posts, random.between(3, 15))
      .map((to) => newPost(random, { reply: { root: to, parent: to } })),
    ...random
      .some(posts, 2)
      .map((record) => newPost(random, { embed: { $type: 'app.bsky.embed.record', record } })),
    on('app.bsky.graph.list', { name: 'Friends', purpose: 'app.bsky.graph.defs#curatelist' }),
  ];
}

/**
 * Changes made while the pipeline runs: posts, replies, likes, reposts, follows,
 * a profile, deletions, by a few of the accounts.
 *
 * @param made called after each change with the record it wrote, or the URI that it removed
 */
export async function tellPresent(
  pdsUrl: string,
  changes: number,
  made: (change: { ref: RecordRef } | { removed: string }) => void | Promise<void>,
): Promise<void> {
  const random = new Random(Date.now());
  const actors = await Promise.all(random.some(NAMES, 4).map((name) => login(pdsUrl, name)));
  const posts = (await Promise.all(actors.map((actor) => latest(actor)))).flat();
  const mine: [Account, RecordRef][] = [];
  for (let i = 0; i < changes; i++) {
    const actor = random.pick(actors);
    if (i % 6 === 5 && mine.length > 0) {
      const [owner, ref] = mine.splice(random.between(0, mine.length - 1), 1)[0]!;
      await owner.delete(ref);
      await made({ removed: ref.uri });
      continue;
    }
    const ref = await change(actor, posts, random, i);
    mine.push([actor, ref]);
    await made({ ref });
  }
}

async function change(actor: Account, posts: RecordRef[], random: Random, i: number): Promise<RecordRef> {
  const post = random.pick(posts);
  if (i % 5 === 1) return actor.like(post);
  if (i % 5 === 2) return actor.reply(post, `Reply ${i}`);
  if (i % 5 === 3) return actor.repost(post);
  const ref = await actor.post(`${random.pick(THOUGHTS)} ${i}`);
  posts.push(ref);
  return ref;
}

async function latest(account: Account): Promise<RecordRef[]> {
  const { data } = await account.agent.com.atproto.repo.listRecords({
    repo: account.did,
    collection: 'app.bsky.feed.post',
    limit: 20,
  });
  return data.records.map(({ uri, cid }) => ({ uri, cid }));
}

function newPost(random: Random, more: Record<string, unknown> = {}): Write {
  const text = `${random.pick(THOUGHTS)} ${random.between(1, 999)}`;
  return create('app.bsky.feed.post', { text, langs: ['en'], createdAt: past(random), ...more });
}

function create(collection: string, value: Record<string, unknown>): Write {
  return { action: 'create', collection, value };
}

function removal(ref: RecordRef): Write {
  const [, , , collection, rkey] = ref.uri.split('/');
  return { action: 'delete', collection: collection!, rkey: rkey! };
}

function past(random: Random): string {
  return new Date(LAST_DAY - Math.floor(random.next() * YEAR_MS)).toISOString();
}
