import { createReadStream, readFileSync, statSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';

/** A whole answer of a server. */
export interface Reply {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

/** An answer whose body lies in a file; read only if somebody wants to have it whole. */
export class FileReply implements Reply {
  readonly status = 200;
  readonly headers: Record<string, string>;
  readonly path: string;

  constructor(path: string, type: string) {
    this.path = path;
    this.headers = { 'content-type': type };
  }

  get body(): Buffer {
    return readFileSync(this.path);
  }
}

/** What a PDS says of its limits. */
function limits(): Record<string, string> {
  return {
    'ratelimit-limit': '3000',
    'ratelimit-remaining': '2999',
    'ratelimit-reset': String(Math.ceil(Date.now() / 1000) + 300),
    'ratelimit-policy': '3000;w=300',
  };
}

export function reply(body: string | Buffer, type: string, status = 200): Reply {
  return { status, headers: { 'content-type': type }, body: Buffer.from(body as string) };
}

export function json(value: unknown, status = 200): Reply {
  const headers = { 'content-type': 'application/json; charset=utf-8', ...limits() };
  return { status, headers, body: Buffer.from(JSON.stringify(value)) };
}

/** An XRPC error. */
export function error(status: number, name: string, message = name): Reply {
  return json({ error: name, message }, status);
}

export function redirect(location: string): Reply {
  return { status: 302, headers: { location }, body: Buffer.alloc(0) };
}

export function send(res: ServerResponse, answer: Reply): void {
  if (answer instanceof FileReply) sendFile(res, answer);
  else sendWhole(res, answer);
}

function sendWhole(res: ServerResponse, { status, headers, body }: Reply): void {
  res.writeHead(status, { ...headers, 'content-length': String(body.length) });
  res.end(body);
}

/** In pieces, so that a large repo does not fill the memory. */
function sendFile(res: ServerResponse, { path, headers }: FileReply): void {
  res.writeHead(200, { ...headers, 'content-length': String(statSync(path).size) });
  pipeline(createReadStream(path, { highWaterMark: 1 << 18 }), res, () => {});
}
