import { onAbort, TransientError } from '@headwater/ops';

/** A Redis URL that can't be used. The message never carries the URL's secrets. */
export class RedisUrlError extends Error {
  override name = 'RedisUrlError';
}

/** Redis did not answer in time; `cause` is the last error of the connection, where there was one. */
export class RedisUnavailableError extends Error {
  override name = 'RedisUnavailableError';
  address: string;
  constructor(address: string, message: string, options?: ErrorOptions) {
    super(`Redis at ${address}: ${message}`, options);
    this.address = address;
  }
}

/**
 * Redis has forgotten what it had confirmed (killed before it wrote to disk,
 * failed over to a replica that was behind, emptied): entries and their cursor
 * are gone together. Whoever appends must begin again at the stored cursor;
 * nothing of the refused batch was written.
 */
export class RewoundError extends TransientError {
  override name = 'RewoundError';
  stream: string;
  constructor(stream: string) {
    super(`Redis has lost entries of ${stream} that it had confirmed`);
    this.stream = stream;
  }
}

/** The guard of an append did not hold: somebody else has the lease now. Nothing of the batch was written. */
export class FencedError extends Error {
  override name = 'FencedError';
  stream: string;
  key: string;
  constructor(stream: string, key: string) {
    super(`${key} is not held any more: nothing is written to ${stream}`);
    this.stream = stream;
    this.key = key;
  }
}

/** The first word of an error reply, which is its code in the protocol (`OOM`, `NOGROUP`); else undefined. */
export function replyCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return undefined;
  return /^([A-Z]+)\b/.exec(error.message)?.[1];
}

/** Answers that a server gives for a while: full, restarting, failing over, moving slots. */
const passing = new Set([
  'OOM',
  'MISCONF',
  'BUSY',
  'LOADING',
  'READONLY',
  'MASTERDOWN',
  'CLUSTERDOWN',
  'TRYAGAIN',
  'NOREPLICAS',
  'UNBLOCKED',
  'NOGROUP',
  'MOVED',
  'ASK',
]);

/** Is it Redis or the way to it that is at fault, so that the same command may succeed later? */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof TypeError || error instanceof RangeError) return false;
  if (error.name !== 'ReplyError') return error.name !== 'AbortError';
  const code = replyCode(error);
  return code !== undefined && passing.has(code);
}

/**
 * The promise, or an early end: rejects with the signal's reason when it
 * aborts first. What the promise stands for goes on regardless.
 */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise<T>((resolve, reject) => {
    const forget = signal.aborted ? ignore : onAbort(signal, () => reject(signal.reason));
    if (signal.aborted) reject(signal.reason);
    promise.then(
      (value) => {
        forget();
        resolve(value);
      },
      (error) => {
        forget();
        reject(error);
      },
    );
  });
}

function ignore(): void {}

/** The promise's value, or undefined after `ms` milliseconds. Its failure counts as undefined too. */
export function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve(undefined), ms);
    promise.then(resolve, () => resolve(undefined)).finally(() => clearTimeout(late));
  });
}
