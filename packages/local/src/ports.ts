import { createServer } from 'node:net';
import { ProcessError } from './process.ts';

/** Below the ports that systems give to outgoing connections, which else take one between the look and its use. */
const LOWEST = 12_000;
const COUNT = 20_000;
const TRIES = 20;
const STARTS = 3;

/** A TCP port of 127.0.0.1 that nobody listens on; `wanted` itself if it is free. */
export async function freePort(wanted = 0): Promise<number> {
  if (wanted !== 0 && (await canListen(wanted))) return wanted;
  for (let i = 0; i < TRIES; i++) {
    const port = LOWEST + Math.floor(Math.random() * COUNT);
    if (await canListen(port)) return port;
  }
  throw new Error(`no free port among ${TRIES} of 127.0.0.1 between ${LOWEST} and ${LOWEST + COUNT}`);
}

/**
 * Starts what listens on a port: `wanted` if it is free. Where somebody takes
 * the port between the look and the use, once more on another one.
 */
export async function onFreePort<T>(
  wanted: number | undefined,
  start: (port: number) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort(wanted);
    try {
      return await start(port);
    } catch (error) {
      if (attempt === STARTS || !isPortTaken(error)) throw error;
    }
  }
}

/** Whether a server of ours, or a program that we started, found its port taken. */
export function isPortTaken(error: unknown): boolean {
  if (error instanceof ProcessError) return /address already in use/i.test(error.output);
  return (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
