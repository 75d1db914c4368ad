import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { errorOfTransport, XrpcError } from './errors.ts';

type Headers = Record<string, string | string[] | undefined>;

/** An answer whose body is still to be read. Leaving the loop over it early closes the connection. */
export interface Download {
  status: number;
  /** Names in lower case. */
  headers: Headers;
  /** Where the last redirect led. */
  url: URL;
  /** To be read once; throws XrpcError when a limit is passed or the connection breaks. */
  body: AsyncIterable<Uint8Array>;
}

export interface BodyLimits {
  /** Largest body in bytes, as sent and inflated. */
  maxBytes: number;
  /** Floor on the transfer speed, over any stretch longer than `graceMs`. */
  minBytesPerSecond: number;
  /** How long a host may stay below the floor in one stretch, in milliseconds. */
  graceMs: number;
}

/** What can stop a call from the outside; its reason is what the reader gets. */
export interface Stop {
  signal: AbortSignal;
  stop(reason: unknown): void;
  release(): void;
}

/** Inflates where needed and enforces the limits; whatever goes wrong is an XrpcError or the caller's reason. */
export async function* limitedBody(
  raw: Readable,
  encoding: string,
  url: URL,
  limits: BodyLimits,
  stop: Stop,
): AsyncGenerator<Uint8Array> {
  try {
    const sent = paced(raw, url, limits, stop);
    if (encoding === 'identity') yield* sent;
    else yield* capped(inflated(sent), url, limits.maxBytes);
  } catch (err) {
    if (stop.signal.aborted) throw stop.signal.reason;
    throw readError(url, err);
  } finally {
    stop.release();
    raw.destroy();
  }
}

function readError(url: URL, err: unknown): XrpcError {
  const code = (err as { code?: unknown }).code;
  if (code === 'Z_DATA_ERROR') return new XrpcError('bad-answer', `${url.host}: not gzip`, { cause: err });
  return errorOfTransport(url, err);
}

async function* capped(source: AsyncIterable<Uint8Array>, url: URL, maxBytes: number) {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.byteLength;
    checkSize(bytes, url, maxBytes);
    yield chunk;
  }
}

function checkSize(bytes: number, url: URL, maxBytes: number): void {
  if (bytes > maxBytes) throw new XrpcError('too-large', `${url.host}: a body above ${maxBytes} bytes`);
}

async function* inflated(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip();
  pipeline(Readable.from(source, { objectMode: false }), gunzip, ignore);
  try {
    yield* gunzip;
  } finally {
    gunzip.destroy();
  }
}

/**
 * Stops a source that is too large, or too slow. A host has `graceMs` of credit; waiting for
 * it spends the credit, bytes at the floor's price earn it back up to the
 * full. So a fast start doesn't pay for a stall, and the time that our own
 * reader takes is never the host's fault.
 */
async function* paced(raw: Readable, url: URL, limits: BodyLimits, stop: Stop) {
  const { minBytesPerSecond, graceMs, maxBytes } = limits;
  let creditMs = graceMs;
  let bytes = 0;
  const chunks = raw[Symbol.asyncIterator]();
  for (;;) {
    const from = performance.now();
    const timer = setTimeout(() => {
      stop.stop(new XrpcError('too-slow', `${url.host}: below ${minBytesPerSecond} bytes a second`));
    }, creditMs);
    const next = await chunks.next().finally(() => clearTimeout(timer));
    if (next.done) return;
    const chunk: Uint8Array = next.value;
    bytes += chunk.byteLength;
    checkSize(bytes, url, maxBytes);
    const earnedMs = (chunk.byteLength / minBytesPerSecond) * 1000;
    creditMs = Math.min(graceMs, Math.max(0, creditMs - (performance.now() - from)) + earnedMs);
    yield chunk;
  }
}

/**
 * The whole of a body as text.
 *
 * @throws XrpcError as the body's own iteration
 */
export async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function ignore(): void {}
