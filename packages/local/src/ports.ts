import { createServer } from 'node:net';

/** A TCP port of 127.0.0.1 that nobody listens on; `wanted` itself if it is free. */
export async function freePort(wanted = 0): Promise<number> {
  const taken = wanted === 0 ? undefined : await tryListen(wanted);
  return taken ?? (await tryListen(0))!;
}

function tryListen(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      const got = typeof address === 'object' && address !== null ? address.port : undefined;
      server.close(() => resolve(got));
    });
  });
}
