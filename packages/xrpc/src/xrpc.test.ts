import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  getLatestCommit,
  getRepoStatus,
  getRepoStream,
  listHosts,
  listRepos,
  listReposByCollection,
  XrpcClient,
  XrpcError,
} from './index.ts';

type Handler = (req: IncomingMessage, res: ServerResponse) => void;

let handler: Handler = (_, res) => res.end();
const seen: string[] = [];
const server = createServer((req, res) => {
  seen.push(req.url ?? '');
  handler(req, res);
});
let host = '';
let port = 0;
const client = new XrpcClient({ contact: 'mailto:op@example.com' });
const trusted = { trusted: true } as const;
const did = 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa';

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
  host = `http://127.0.0.1:${port}`;
});
afterAll(async () => {
  await client[Symbol.asyncDispose]();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function answer(status: number, body: string | Buffer, headers: Record<string, string> = {}): void {
  handler = (_, res) => res.writeHead(status, headers).end(body);
}

async function failure(call: Promise<unknown>): Promise<XrpcError> {
  const err = await call.then(
    () => undefined,
    (e: unknown) => e,
  );
  if (err instanceof XrpcError) return err;
  throw err ?? new Error('did not fail');
}

async function drain(body: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const chunk of body) bytes += chunk.byteLength;
  return bytes;
}

async function download(options: object): Promise<number> {
  const { body } = await getRepoStream(client, host, did, { ...trusted, ...options });
  return drain(body);
}

describe('answers', () => {
  it('reads a page, and judges its entries singly', async () => {
    const repos = [
      { did, head: 'bafy', rev: '3k', active: true },
      { did: 'did:web:example.com', head: 'bafy', rev: '', active: false, status: 'deactivated' },
      { did: 'nonsense' },
      null,
    ];
    answer(200, JSON.stringify({ cursor: '9', repos }));
    const page = await listRepos(client, host, { ...trusted, cursor: '1::a', limit: 4 });
    expect(page).toEqual({ cursor: '9', repos: repos.slice(0, 2), unusable: 2 });
    expect(seen.at(-1)).toBe('/xrpc/com.atproto.sync.listRepos?limit=4&cursor=1%3A%3Aa');
    answer(200, '{"repos":[]}');
    expect(await listRepos(client, host, trusted)).toEqual({ repos: [], unusable: 0 });
  });

  it('reads the other calls', async () => {
    answer(200, JSON.stringify({ repos: [{ did }] }));
    const byCollection = await listReposByCollection(client, host, 'app.bsky.feed.post', trusted);
    expect(byCollection.repos).toEqual([{ did, head: '', rev: '', active: true }]);
    answer(200, JSON.stringify({ hosts: [{ hostname: 'pds.example', accountCount: 3 }, {}] }));
    expect(await listHosts(client, host, trusted)).toEqual({
      hosts: [{ hostname: 'pds.example', accountCount: 3 }],
    });
    answer(200, JSON.stringify({ cid: 'bafy', rev: '3k' }));
    expect(await getLatestCommit(client, host, did, trusted)).toEqual({ cid: 'bafy', rev: '3k' });
    answer(200, JSON.stringify({ did, active: false, status: 'takendown' }));
    expect(await getRepoStatus(client, host, did, trusted)).toEqual({
      did,
      active: false,
      status: 'takendown',
    });
  });

  it.each(['<html>', 'null', '[]', '{"repos":{}}', '{"repos":[],"cursor":5}'])('refuses %s', async (body) => {
    answer(200, body);
    expect((await failure(listRepos(client, host, trusted))).kind).toBe('bad-answer');
  });

  it('streams a repo and inflates it', async () => {
    const car = Buffer.alloc(300_000, 'car ');
    answer(200, gzipSync(car), { 'content-encoding': 'gzip' });
    const { body, headers } = await getRepoStream(client, host, did, trusted);
    expect(headers['content-encoding']).toBe('gzip');
    expect(await drain(body)).toBe(car.length);
  });

  it('says who asks', async () => {
    let agent: string | undefined;
    handler = (req, res) => {
      agent = req.headers['user-agent'];
      res.end('{"repos":[]}');
    };
    await listRepos(client, host, trusted);
    expect(agent).toBe('headwater/0.1.0 (+mailto:op@example.com)');
  });
});

describe('error answers', () => {
  it.each([
    [400, '{"error":"RepoNotFound","message":"no"}', 'terminal', 'RepoNotFound'],
    [400, '{"error":"RepoTakendown"}', 'terminal', 'RepoTakendown'],
    [404, '{"error":"RepoDeactivated"}', 'terminal', 'RepoDeactivated'],
    [400, '{"error":"InvalidRequest"}', 'http', 'InvalidRequest'],
    [404, 'page not found', 'not-found', undefined],
    [429, '<html><h1>Too many</h1>', 'rate-limited', undefined],
    [501, '', 'http', undefined],
    [500, '[1]', 'http', undefined],
  ])('%i %s', async (status, body, kind, errorName) => {
    answer(status, body);
    const err = await failure(getLatestCommit(client, host, did, trusted));
    expect(err).toMatchObject({ kind, status, errorName });
  });

  it('says how long to wait', async () => {
    answer(429, '<html>', { 'retry-after': '3' });
    expect((await failure(listRepos(client, host, trusted))).retryAfterMs).toBe(3000);
  });

  it('keeps to the status when its page never ends to arrive', async () => {
    handler = (_, res) => {
      res.writeHead(429, { 'retry-after': '5' });
      const timer = setInterval(() => res.write('x'), 100);
      res.on('close', () => clearInterval(timer));
    };
    const err = await failure(listRepos(client, host, { ...trusted, deadlineMs: 300 }));
    expect(err).toMatchObject({ kind: 'rate-limited', retryAfterMs: 5000 });
  });

  it('survives an endless error page', async () => {
    handler = (_, res) => {
      res.writeHead(503);
      const more = () => res.write('x'.repeat(65_536), () => res.destroyed || setImmediate(more));
      more();
    };
    expect(await failure(listRepos(client, host, trusted))).toMatchObject({ kind: 'http', status: 503 });
  });
});

describe('limits', () => {
  it('ends an endless body', async () => {
    handler = (_, res) => {
      const more = () => res.write(Buffer.alloc(65_536), () => res.destroyed || setImmediate(more));
      more();
    };
    expect((await failure(download({ maxBytes: 2 ** 20 }))).kind).toBe('too-large');
  });

  it('ends a gzip bomb by its inflated size', async () => {
    answer(200, gzipSync(Buffer.alloc(64 * 2 ** 20)), { 'content-encoding': 'gzip' });
    const before = process.memoryUsage().rss;
    expect((await failure(download({ maxBytes: 2 ** 20 }))).kind).toBe('too-large');
    expect(process.memoryUsage().rss - before).toBeLessThan(48 * 2 ** 20);
  });

  it('ends one byte a second, also after a fast start', async () => {
    handler = (_, res) => {
      res.write(Buffer.alloc(500_000));
      const timer = setInterval(() => res.write('x'), 20);
      res.on('close', () => clearInterval(timer));
    };
    const from = Date.now();
    const err = await failure(download({ minBytesPerSecond: 1000, graceMs: 150 }));
    expect(err.kind).toBe('too-slow');
    expect(Date.now() - from).toBeLessThan(3000);
  });

  it("never blames the host for its reader's slowness", async () => {
    answer(200, Buffer.alloc(2 ** 20));
    const { body } = await getRepoStream(client, host, did, {
      ...trusted,
      minBytesPerSecond: 10_000,
      graceMs: 40,
    });
    let bytes = 0;
    for await (const chunk of body) {
      // A slow reader: three times the time of grace.
      if (bytes === 0) await new Promise((resolve) => setTimeout(resolve, 120));
      bytes += chunk.byteLength;
    }
    expect(bytes).toBe(2 ** 20);
  });

  it('keeps the deadline, whether or not somebody reads', async () => {
    let closed: Promise<void> | undefined;
    handler = (_, res) => {
      const timer = setInterval(() => res.write(Buffer.alloc(10_000)), 5);
      closed = new Promise((resolve) => res.on('close', resolve));
      res.on('close', () => clearInterval(timer));
    };
    expect((await failure(download({ deadlineMs: 80 }))).kind).toBe('timeout');
    const { body } = await getRepoStream(client, host, did, { ...trusted, deadlineMs: 60 });
    await closed;
    expect((await failure(drain(body))).kind).toBe('timeout');
  });

  it('takes a cut body for a failure, never for its end', async () => {
    handler = (_, res) => {
      res.writeHead(200, { 'content-length': '1000' });
      res.write('x', () => res.destroy());
    };
    expect((await failure(download({}))).kind).toBe('network');
    answer(200, gzipSync(Buffer.alloc(10_000, 'abc')).subarray(0, -12), { 'content-encoding': 'gzip' });
    expect((await failure(download({}))).kind).toBe('network');
    answer(200, 'not gzip', { 'content-encoding': 'gzip' });
    expect((await failure(download({}))).kind).toBe('bad-answer');
    answer(200, 'x', { 'content-encoding': 'br' });
    expect((await failure(download({}))).kind).toBe('bad-answer');
  });

  it("hands on the caller's own abort", async () => {
    const stop = new AbortController();
    handler = (_, res) => {
      res.write('x', () => stop.abort(new RangeError('enough')));
    };
    await expect(download({ signal: stop.signal })).rejects.toThrow(RangeError);
    await expect(download({ signal: stop.signal })).rejects.toThrow(RangeError);
  });

  it('closes the connection when its reader leaves', async () => {
    const closed = new Promise<void>((resolve) => {
      handler = (_, res) => {
        res.on('close', resolve);
        res.write('x');
      };
    });
    const { body } = await getRepoStream(client, host, did, trusted);
    for await (const _ of body) break;
    await closed;
  });

  it('reports a host that is not there', async () => {
    expect((await failure(listRepos(client, '127.0.0.1:9', trusted))).kind).toBe('network');
  });
});

describe('addresses', () => {
  it('refuses a host that nobody vouched for, by address and by name', async () => {
    const calls = seen.length;
    for (const name of [
      host,
      `http://localhost:${port}`,
      `http://[::1]:${port}`,
      `http://[::ffff:127.0.0.1]:${port}`,
      `http://0x7f.1:${port}`,
      `http://2130706433:${port}`,
    ]) {
      expect([name, (await failure(listRepos(client, name))).kind]).toEqual([name, 'refused-address']);
    }
    expect(seen.length).toBe(calls);
  });

  it('is opened by the setting', async () => {
    await using open = new XrpcClient({ allowPrivateAddresses: true });
    answer(200, '{"repos":[]}');
    expect((await listRepos(open, `http://localhost:${port}`)).repos).toEqual([]);
  });

  it('follows redirects of a trusted host to itself, not to other private ones', async () => {
    handler = (req, res) => {
      if (req.url?.startsWith('/end')) res.end('{"repos":[]}');
      else res.writeHead(302, { location: '/end' }).end();
    };
    expect((await listRepos(client, host, trusted)).repos).toEqual([]);
    for (const location of [
      `http://localhost:${port}/end`,
      'http://169.254.169.254/',
      'file:///etc/passwd',
      'http://[::1]/',
    ]) {
      handler = (_, res) => res.writeHead(302, { location }).end();
      expect([location, (await failure(listRepos(client, host, trusted))).kind]).toEqual([
        location,
        'refused-address',
      ]);
    }
  });

  it('gives up a circle of redirects', async () => {
    answer(302, '', { location: '/again' });
    const calls = seen.length;
    expect((await failure(listRepos(client, host, trusted))).kind).toBe('refused-address');
    expect(seen.length - calls).toBe(6);
  });
});
