import { createServer } from 'node:net';

/** Below the ports that systems give to outgoing connections, which else take one between the look and its use. */
const LOWEST = 12_000;
const COUNT = 20_000;
const TRIES = 20;

/** A TCP port of 127.0.0.1 that nobody listens on; `wanted` itself if it is free. */
export async function freePort(wanted = 0): Promise<number> {
  if (wanted !== 0 && (await canListen(wanted))) return wanted;
  for (let i = 0; i < TRIES; i++) {
    const port = LOWEST + Math.floor(Math.random() * COUNT);
    if (await canListen(port)) return port;
  }
  throw new Error(`no free port among ${TRIES} of 127.0.0.1 between ${LOWEST} and ${LOWEST + COUNT}`);
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
