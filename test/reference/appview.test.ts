import { expect, test } from 'vitest';
import { createDatabase } from '../support/index.ts';
import { startNetwork } from '../support/network.ts';
import { AppView } from './appview.ts';

test('an AppView answers over a database that another one filled, byte for byte the same', async () => {
  await using network = await startNetwork();
  await using database = await createDatabase('template0');
  const { plcUrl } = network;
  await using indexing = await AppView.start({
    databaseUrl: database.url,
    plcUrl,
    index: network.pdsUrl,
  });
  const [ann, bob] = [await network.createAccount('ann'), await network.createAccount('bob')];
  const post = await ann.post('hello');
  await bob.reply(post, 'hello too');
  await bob.follow(ann.did);
  await indexing.processAll(await network.waitForSequencer());
  await using reading = await AppView.start({ databaseUrl: database.url, plcUrl });
  const thread = await reading.ask('app.bsky.feed.getPostThread', { uri: post.uri }, bob);
  expect(thread).toMatchObject({ thread: { post: { replyCount: 1, author: { handle: 'ann.test' } } } });
  expect(thread).toEqual(await indexing.ask('app.bsky.feed.getPostThread', { uri: post.uri }, bob));
  const notifications = await reading.ask('app.bsky.notification.listNotifications', {}, ann);
  expect(notifications).toMatchObject({ notifications: [{ reason: 'follow' }, { reason: 'reply' }] });
});
