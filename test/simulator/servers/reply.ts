import type { ServerResponse } from 'node:http';

/** A whole answer of a server. */
export interface Reply {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
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

export function send(res: ServerResponse, { status, headers, body }: Reply): void {
  res.writeHead(status, { ...headers, 'content-length': String(body.length) });
  res.end(body);
}
