import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { keyOf } from '../support/redis.ts';
import { type RunningService, startService } from '../support/services.ts';
import { FakeHost, json } from './fake-host.ts';
import { Author } from './frames.ts';
import { eventually, type Streams, startStreams } from './run.ts';

let streams: Streams;
let relay: FakeHost;

beforeAll(async () => {
  [streams, relay] = await Promise.all([startStreams(), FakeHost.start()]);
});
afterAll(async () => {
  await streams?.[Symbol.asyncDispose]();
  await relay?.[Symbol.asyncDispose]();
});

const frames = 1600;
const authors = 40;
const repos = 4000;
const kills = 3;

function start(): Promise<RunningService> {
  return startService('ingester', {
    redisUrl: streams.server.url,
    databaseUrl: 'postgres://none',
    plcUrl: relay.url,
    env: {
      INGESTER_RELAY_HOSTS: relay.host,
      INGESTER_BATCH_SIZE: '7',
      INGESTER_BATCH_TIMEOUT_MS: '1',
      INGESTER_LEASE_MS: '300',
      INGESTER_RELIST_MS: '200',
      LOG_LEVEL: 'warn',
    },
  });
}

/** What is in the streams now; every frame and repo up to the cursor must be. */
async function check(): Promise<{ seq: number; listed: number }> {
  // A stream and its cursor share a slot; two streams need not.
  const steps = ['firehose_live', 'repo_backfill'].map((stream) =>
    streams.redis
      .multi()
      .get(keyOf(`${stream}:cursor:${relay.host}`))
      .xrange(stream, '-', '+')
      .exec(),
  );
  const answers = (await Promise.all(steps)).flatMap((answer) => answer!);
  const [seqText, live, listText, list] = answers.map(([, value]) => value) as [
    string,
    [string, string[]][],
    string | null,
    [string, string[]][],
  ];
  const have = new Set(live.map(([, flat]) => (JSON.parse(flat[1]!) as { seq: number }).seq));
  for (let seq = 1; seq <= Number(seqText); seq++)
    if (!have.has(seq)) throw new Error(`the cursor is ${seqText}, and ${seq} is not there`);
  const dids = new Set(list.map(([, flat]) => (JSON.parse(flat[1]!) as { did: string }).did));
  const listed = listText === '!ingester-done' ? repos : Number(listText ?? 0);
  for (let i = 0; i < listed; i++) expect(dids.has(`did:web:r${i}.test`)).toBe(true);
  return { seq: Number(seqText), listed };
}

/** The cursor of the firehose. */
async function reached(): Promise<number> {
  return Number(await streams.redis.get(keyOf(`firehose_live:cursor:${relay.host}`)));
}

/** Documents come after a while, so that at any moment some commits wait for theirs and others overtake them. */
function serveDocuments(all: Author[]): void {
  const byDid = new Map(all.map((author) => [author.did, author.key.did()]));
  relay.onRequest = (url, response) => {
    const id = url.pathname.slice(1);
    const key = byDid.get(id);
    if (key === undefined) return false;
    const method = { id: '#atproto', type: 'Multikey', controller: id, publicKeyMultibase: key.slice(8) };
    setTimeout(() => json(response, 200, { id, verificationMethod: [method] }), Math.random() * 150);
    return true;
  };
}

it('killed at any moment, loses no event and no repo, and no cursor is ahead', {
  timeout: 90_000,
}, async () => {
  const all = await Promise.all(Array.from({ length: authors }, (_, i) => Author.create(`crash ${i}`)));
  for (let seq = 1; seq <= frames; seq++) {
    const author = all[seq % authors]!;
    relay.frames.push(await (seq % 2 === 0 ? author.post(seq) : author.identity(seq)));
  }
  serveDocuments(all);
  relay.repos = Array.from({ length: repos }, (_, i) => ({ did: `did:web:r${i}.test` }));
  relay.onSubscribe = async (socket, cursor) => {
    for (const { seq, bytes } of relay.frames) {
      if (seq <= Number(cursor) || socket.readyState !== socket.OPEN) continue;
      socket.send(bytes);
      if (seq % 20 === 0) await sleep(8);
    }
  };
  await streams.redis.set(keyOf(`firehose_live:cursor:${relay.host}`), '0');
  let at = 0;
  let killedMidway = 0;
  for (let kill = 0; kill < kills; kill++) {
    const service = await start();
    // However long it took to connect: at work, and no one knows where.
    await eventually(reached).toBeGreaterThanOrEqual(Math.min(at + 1, frames));
    await sleep(Math.random() * 150);
    await service.kill();
    const { seq } = await check();
    expect(seq).toBeGreaterThanOrEqual(at);
    if (seq > at && seq < frames) killedMidway++;
    at = seq;
  }
  await using _last = await start();
  await eventually(async () => (await check()).seq).toBe(frames);
  expect((await check()).listed).toBe(repos);
  expect(killedMidway).toBeGreaterThan(0);
});
