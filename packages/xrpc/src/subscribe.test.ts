import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { type Subscription, socketUrl, subscribe, XrpcClient, XrpcError } from './index.ts';

const http: Server = createServer((_, res) => res.writeHead(429, { 'retry-after': '4' }).end('<html>'));
const sockets = new WebSocketServer({ noServer: true });
const client = new XrpcClient();
let serve: (socket: WebSocket) => void = () => {};
let accept = true;
let host = '';

beforeAll(async () => {
  http.on('upgrade', (req, socket, head) => {
    if (accept) sockets.handleUpgrade(req, socket, head, (ws) => serve(ws));
    else socket.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 25\r\n\r\n{"error":"FutureCursor"}\r\n');
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  host = `127.0.0.1:${(http.address() as AddressInfo).port}`;
});
afterEach(() => {
  accept = true;
  for (const socket of sockets.clients) socket.terminate();
});
afterAll(async () => {
  await client[Symbol.asyncDispose]();
  http.closeAllConnections();
  await new Promise((resolve) => http.close(resolve));
});

const url = () => socketUrl(host, 'com.atproto.sync.subscribeRepos');
const start = (options = {}) => subscribe(client, url(), { trusted: true, ...options });

async function read(frames: Subscription): Promise<{ texts: string[]; error: unknown }> {
  const texts: string[] = [];
  try {
    for await (const frame of frames) texts.push(Buffer.from(frame).toString());
    return { texts, error: undefined };
  } catch (error) {
    return { texts, error };
  }
}

describe('a subscription', () => {
  it('gives all frames in order, then ends', async () => {
    serve = (ws) => {
      for (let i = 0; i < 5000; i++) ws.send(Buffer.from(String(i)));
      ws.close(1000);
    };
    let opened = 0;
    const { texts, error } = await read(start({ onOpen: () => opened++ }));
    expect(error).toBeUndefined();
    expect(texts).toEqual(Array.from({ length: 5000 }, (_, i) => String(i)));
    expect(opened).toBe(1);
  });

  it('delivers what came before a failure, then the failure', async () => {
    serve = (ws) => ws.send(Buffer.from('a'), () => ws.close(1008, 'ConsumerTooSlow'));
    const { texts, error } = await read(start());
    expect(texts).toEqual(['a']);
    expect(error).toMatchObject({ name: 'XrpcError', kind: 'network' });
  });

  it('takes a socket that pings and sends nothing for dead', async () => {
    serve = (ws) => {
      const timer = setInterval(() => ws.ping(), 10);
      ws.on('close', () => clearInterval(timer));
    };
    const { error } = await read(start({ idleMs: 100 }));
    expect(error).toMatchObject({ kind: 'timeout' });
  });

  it('reads no further while its consumer is busy', async () => {
    const frame = Buffer.alloc(100_000);
    let sent = 0;
    let stalled: () => void = () => {};
    const full = new Promise<void>((resolve) => {
      stalled = resolve;
    });
    serve = (ws) => {
      const more = () => {
        if (sent === 400) return ws.close(1000);
        if (ws.bufferedAmount > 4e6) {
          stalled();
          // Nothing tells when the buffer has become smaller.
          setTimeout(more, 5);
          return;
        }
        sent++;
        ws.send(frame);
        setImmediate(more);
      };
      more();
    };
    let read = 0;
    for await (const _ of start({ queueBytes: 300_000, idleMs: 400 })) {
      // The kernel's buffers take some megabytes; 40 do not fit anywhere.
      if (read++ > 0) continue;
      await full;
      // Busy for longer than the idle time, which is the host's alone.
      await new Promise((resolve) => setTimeout(resolve, 900));
    }
    expect(read).toBe(400);
  });

  it('refuses an oversized frame', async () => {
    serve = (ws) => ws.send(Buffer.alloc(5000));
    expect((await read(start({ maxFrameBytes: 1000 }))).error).toMatchObject({ kind: 'too-large' });
  });

  it('reads the answer of a host that refuses', async () => {
    accept = false;
    const { error } = await read(start());
    expect(error).toMatchObject({ kind: 'http', status: 400, errorName: 'FutureCursor' });
  });

  it('refuses private addresses of hosts that nobody vouched for', async () => {
    expect(() => subscribe(client, url())).toThrow(XrpcError);
    const byName = socketUrl(`http://localhost:${host.split(':')[1]}`, 'a.b');
    expect((await read(subscribe(client, byName))).error).toMatchObject({ kind: 'refused-address' });
  });

  it("ends with the caller's signal and closes the socket", async () => {
    const stop = new AbortController();
    const closed = new Promise<void>((resolve) => {
      serve = (ws) => {
        ws.on('close', () => resolve());
        ws.send(Buffer.from('a'), () => stop.abort(new RangeError('enough')));
      };
    });
    expect((await read(start({ signal: stop.signal }))).error).toBeInstanceOf(RangeError);
    await closed;
  });

  it('closes the socket when its consumer leaves, also while it waits', async () => {
    const closed = new Promise<void>((resolve) => {
      serve = (ws) => {
        ws.on('close', () => resolve());
        ws.send(Buffer.from('a'));
      };
    });
    for await (const _ of start()) break;
    await closed;
  });
});

describe('batches', () => {
  const options = { maxItems: 3, maxBytes: 1000, maxWaitMs: 30 };

  it('are full, or late, or the last', async () => {
    let last = () => {};
    serve = (ws) => {
      for (const text of ['1', '2', '3', '4']) ws.send(Buffer.from(text));
      last = () => ws.send(Buffer.from('5'), () => ws.close(1011));
    };
    const sizes: number[] = [];
    const frames = start();
    const run = async () => {
      for await (const batch of frames.batches(options)) if (sizes.push(batch.length) === 2) last();
    };
    await expect(run()).rejects.toMatchObject({ kind: 'network' });
    expect(sizes).toEqual([3, 1, 1]);
  });

  it('are bounded in bytes', async () => {
    serve = (ws) => {
      for (let i = 0; i < 6; i++) ws.send(Buffer.alloc(150));
      ws.close(1000);
    };
    const sizes: number[] = [];
    for await (const batch of start().batches({ ...options, maxItems: 100 })) sizes.push(batch.length);
    expect(sizes).toEqual([3, 3]);
  });
});
