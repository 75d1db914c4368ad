import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { boundaries, varint } from '../protocol/car.ts';
import { cidOf } from '../protocol/cid.ts';
import type { Reply } from '../servers/reply.ts';

// Ways to send a body that no client should have to suffer.

/** A few bytes a second, for ever or until it has all been sent. */
export function sendSlowly(
  res: ServerResponse,
  { status, headers, body }: Reply,
  bytesPerSecond: number,
): void {
  res.writeHead(status, headers);
  res.flushHeaders();
  let at = 0;
  const pause = 1000 / Math.min(bytesPerSecond, 20);
  const step = Math.max(1, Math.round((bytesPerSecond * pause) / 1000));
  const timer = setInterval(() => {
    res.write(body.subarray(at, at + step));
    at += step;
    if (at < body.length) return;
    clearInterval(timer);
    res.end();
  }, pause);
  res.on('close', () => clearInterval(timer));
}

/** The body, and then blocks without end, as fast as they are taken. */
export function sendEndlessly(res: ServerResponse, { status, headers, body }: Reply): void {
  res.writeHead(status, headers);
  res.write(body);
  const filler = Buffer.concat(Array.from({ length: 64 }, (_, i) => section(Buffer.alloc(1000, i))));
  const more = () => {
    while (!res.destroyed && res.write(filler));
  };
  res.on('drain', more);
  more();
}

function section(block: Buffer): Buffer {
  const cid = cidOf(block);
  return Buffer.concat([varint(cid.length + block.length), cid, block]);
}

/** Where to cut a CAR: after so many sections, at a byte, or at a share of the body. */
export type CutAt = { block: number } | { byte: number } | { share: number };

/** Ends before the end, as if that were all. */
export function cutBody(body: Buffer, at: CutAt): Buffer {
  return body.subarray(0, cutPlace(body, at));
}

function cutPlace(body: Buffer, at: CutAt): number {
  if ('byte' in at) return at.byte;
  if ('share' in at) return Math.floor(body.length * at.share);
  const places = boundaries(body);
  return places[Math.min(at.block, places.length - 2)]!;
}

/** Cuts the connection in the middle of the body; it was announced in full. */
export function resetInMiddle(res: ServerResponse, { status, headers, body }: Reply, at: CutAt): void {
  res.writeHead(status, { ...headers, 'content-length': String(body.length) });
  res.write(cutBody(body, at), () => res.socket?.destroy());
}

let bomb: Buffer | undefined;

/** A gigabyte of zeros in a megabyte, behind the true body. */
export function sendBomb(res: ServerResponse, { status, headers, body }: Reply): void {
  bomb ??= gzipSync(Buffer.alloc(16 * 2 ** 20));
  res.writeHead(status, { ...headers, 'content-encoding': 'gzip' });
  res.write(gzipSync(body));
  for (let i = 0; i < 64; i++) res.write(bomb);
  res.end();
}
