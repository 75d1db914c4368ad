import type { Account, Network, RecordRef } from '../support/network.ts';

const GATE = 'app.bsky.feed.threadgate';

/** What stands in a small town after `settle` and `live`: everything that the views are asked about. */
export interface Town {
  ann: Account;
  bob: Account;
  eve: Account;
  joe: Account;
  zoe: Account;
  /** Deactivated in the end. */
  ivy: Account;
  posts: Record<string, RecordRef>;
  lists: Record<string, RecordRef>;
  pack: RecordRef;
  feed: RecordRef;
}

/** Six accounts and what they did before anybody looked. Every record has a createdAt of its own millisecond. */
export async function settle(network: Network): Promise<Town> {
  const names = ['ann', 'bob', 'eve', 'joe', 'zoe', 'ivy'] as const;
  const accounts = await Promise.all(names.map((name) => network.createAccount(name)));
  const [ann, bob, eve, joe, zoe, ivy] = accounts as [Account, Account, Account, Account, Account, Account];
  const town: Town = { ann, bob, eve, joe, zoe, ivy, posts: {}, lists: {}, pack: nothing, feed: nothing };
  await profiles(town);
  await relations(town);
  await threads(town);
  await pictures(town);
  await listsAndPacks(town);
  return town;
}

const nothing: RecordRef = { uri: '', cid: '' };

let last = 0;
/** The present, but never the same moment twice. */
function now(): string {
  last = Math.max(Date.now(), last + 1);
  return new Date(last).toISOString();
}

async function profiles({ ann, bob, eve, joe, zoe, ivy }: Town): Promise<void> {
  for (const [account, displayName] of [
    [ann, 'Ann Otter'],
    [bob, 'Bob Heron'],
    [eve, 'Eve Reed'],
    [joe, 'Joe Otter'],
    [zoe, 'Zoe'],
    [ivy, 'Ivy'],
  ] as const) {
    await account.profile({ displayName, description: `I am ${displayName}`, createdAt: now() });
  }
}

async function relations({ ann, bob, eve, joe, zoe, ivy }: Town): Promise<void> {
  const follow = (who: Account, whom: Account) =>
    who.create('app.bsky.graph.follow', { subject: whom.did, createdAt: now() });
  for (const who of [bob, eve, joe, ivy]) await follow(who, ann);
  for (const whom of [bob, eve, ivy]) await follow(ann, whom);
  await zoe.delete(await follow(zoe, ann));
  await follow(zoe, bob);
  await eve.create('app.bsky.graph.block', { subject: joe.did, createdAt: now() });
  await joe.create('app.bsky.graph.verification', {
    subject: ann.did,
    handle: ann.handle,
    displayName: 'Ann Otter',
    createdAt: now(),
  });
}

async function threads({ ann, bob, eve, joe, zoe, ivy, posts }: Town): Promise<void> {
  const say = (who: Account, text: string, more: object = {}) =>
    who.create('app.bsky.feed.post', { text, createdAt: now(), langs: ['en'], ...more });
  const answer = (who: Account, text: string, parent: RecordRef, root: RecordRef) =>
    say(who, text, { reply: { root, parent } });
  const root = await say(ann, 'the river is high today');
  const first = await answer(bob, 'how high?', root, root);
  const second = await answer(ann, 'to the bridge', first, root);
  Object.assign(posts, { root, first, second });
  await answer(ann, 'and rising', second, root);
  await answer(eve, 'mind the otters', first, root);
  const doomed = await answer(zoe, 'gone soon', second, root);
  await answer(joe, 'under what is gone', doomed, root);
  posts['doomed'] = doomed;
  const gated = await say(ann, 'followers only');
  posts['gated'] = gated;
  const rkey = gated.uri.split('/').at(-1)!;
  const allow = [{ $type: `${GATE}#followerRule` }];
  await ann.put(GATE, rkey, { post: gated.uri, allow, createdAt: now() });
  await answer(bob, 'I follow', gated, gated);
  posts['refused'] = await answer(zoe, 'I do not', gated, gated);
  posts['quote'] = await say(eve, 'look at this', { embed: quote(root) });
  await say(bob, 'and at this', { embed: quote(posts['quote']) });
  await say(joe, 'a quote of a list is none', { embed: quote(gated) });
  const facets = [mention(zoe.did)];
  posts['mention'] = await say(bob, '@zoe.test come', { facets });
  posts['ivy'] = await answer(ivy, 'from the bank', first, root);
  await answer(bob, 'which bank?', posts['ivy'], root);
  for (const who of [bob, eve, joe, ivy]) await react(who, 'like', root);
  await react(zoe, 'like', first);
  await react(joe, 'like', first);
  const repost = await react(joe, 'repost', root);
  await react(zoe, 'like', root, { via: repost });
  await react(ann, 'repost', posts['quote']);
  await joe.delete(await react(joe, 'repost', first));
}

function quote(record: RecordRef) {
  return { $type: 'app.bsky.embed.record', record };
}

function mention(did: string) {
  const features = [{ $type: 'app.bsky.richtext.facet#mention', did }];
  return { index: { byteStart: 0, byteEnd: 9 }, features };
}

function react(who: Account, kind: 'like' | 'repost', subject: RecordRef, more: object = {}) {
  return who.create(`app.bsky.feed.${kind}`, { subject, createdAt: now(), ...more });
}

async function pictures({ eve, posts }: Town): Promise<void> {
  const bytes = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'base64',
  );
  const { data } = await eve.agent.uploadBlob(bytes, { encoding: 'image/png' });
  const images = [{ image: data.blob, alt: 'one pixel' }];
  const embed = { $type: 'app.bsky.embed.images', images };
  posts['picture'] = await eve.create('app.bsky.feed.post', { text: 'a picture', embed, createdAt: now() });
  await eve.create('app.bsky.feed.post', { text: 'another one', embed, createdAt: now() });
  const film = await eve.agent.uploadBlob(Buffer.from('not sniffed'), { encoding: 'video/mp4' });
  const video = { $type: 'app.bsky.embed.video', video: film.data.blob, alt: 'the flood' };
  posts['video'] = await eve.create('app.bsky.feed.post', { text: 'a film', embed: video, createdAt: now() });
  const external = { uri: 'https://example.org/', title: 'A page', description: 'of water' };
  await eve.create('app.bsky.feed.post', {
    text: 'a page and a quote',
    embed: {
      $type: 'app.bsky.embed.recordWithMedia',
      record: quote(posts['root']!),
      media: { $type: 'app.bsky.embed.external', external },
    },
    createdAt: now(),
  });
}

async function listsAndPacks(town: Town): Promise<void> {
  const { ann, bob, eve, joe, zoe, lists } = town;
  for (const purpose of ['curatelist', 'modlist', 'referencelist']) {
    lists[purpose] = await ann.create('app.bsky.graph.list', {
      name: `a ${purpose}`,
      purpose: `app.bsky.graph.defs#${purpose}`,
      createdAt: now(),
    });
  }
  const add = (list: string, who: Account) =>
    ann.create('app.bsky.graph.listitem', { list: lists[list]!.uri, subject: who.did, createdAt: now() });
  for (const who of [bob, eve, joe]) await add('curatelist', who);
  await add('modlist', zoe);
  for (const who of [bob, eve]) await add('referencelist', who);
  await bob.create('app.bsky.graph.listblock', { subject: lists['modlist']!.uri, createdAt: now() });
  town.feed = await ann.put('app.bsky.feed.generator', 'waters', {
    did: ann.did,
    displayName: 'Waters',
    createdAt: now(),
  });
  town.pack = await ann.create('app.bsky.graph.starterpack', {
    name: 'Who lives here',
    list: lists['referencelist']!.uri,
    feeds: [{ uri: town.feed.uri }],
    createdAt: now(),
  });
  await ann.create(
    'app.bsky.labeler.service',
    { policies: { labelValues: ['wet'] }, createdAt: now() },
    'self',
  );
}

/**
 * What they do while everybody looks. Deletions that others' records depend on are made here: of a post that was
 * gone before it was looked at, nobody can know that it was there when it was replied to.
 */
export async function live(town: Town): Promise<void> {
  const { ann, bob, eve, joe, zoe, ivy, posts } = town;
  const late = await zoe.create('app.bsky.feed.post', {
    text: 'I am late',
    reply: { root: posts['root']!, parent: posts['second']! },
    createdAt: now(),
  });
  posts['late'] = late;
  await ann.create('app.bsky.feed.post', {
    text: 'never mind',
    reply: { root: posts['root']!, parent: late },
    createdAt: now(),
  });
  await bob.delete(await react(bob, 'like', late));
  await react(joe, 'like', late);
  await react(eve, 'repost', posts['first']!);
  for (const name of ['picture', 'doomed']) {
    await (name === 'picture' ? eve : zoe).delete(posts[name]!);
    delete posts[name];
  }
  await zoe.create('app.bsky.graph.follow', { subject: ann.did, createdAt: now() });
  await zoe.profile({ displayName: 'Zoe the Late', description: 'moved', createdAt: now() });
  const rkey = posts['quote']!.uri.split('/').at(-1)!;
  const embeddingRules = [{ $type: 'app.bsky.feed.postgate#disableRule' }];
  await eve.put('app.bsky.feed.postgate', rkey, {
    post: posts['quote']!.uri,
    embeddingRules,
    createdAt: now(),
  });
  await joe.create('app.bsky.feed.post', {
    text: 'too late',
    embed: quote(posts['quote']!),
    createdAt: now(),
  });
  await ivy.agent.com.atproto.server.deactivateAccount({});
}
