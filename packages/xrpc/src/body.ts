import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Call } from './call.ts';
import { errorOfTransport, XrpcError } from './errors.ts';
import type { Exchange, Head } from './exchange.ts';

/** An answer whose body is still to be read. Leaving the loop over it early closes the connection. */
export interface Download {
  status: number;
  /** Names in lower case. */
  headers: Head['headers'];
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

/** The body of an answer, inflated where needed, within its limits; whatever goes wrong is an XrpcError or the caller's reason. */
export function limitedBody(
  exchange: Exchange,
  encoding: string,
  url: URL,
  limits: BodyLimits,
  call: Call,
): AsyncIterable<Uint8Array> {
  const sent = new SentBody(exchange, url, limits, call);
  return encoding === 'identity' ? sent : unpacked(sent, url, limits.maxBytes, call);
}

/**
 * Bytes as they are sent. Stops a source that is too large, or too slow. A host has `graceMs` of credit; waiting for
 * it spends the credit, bytes at the floor's price earn it back up to the full. So a fast start doesn't pay for a
 * stall, and the time that our own reader takes is never the host's fault.
 */
class SentBody implements AsyncIterableIterator<Uint8Array> {
  readonly #exchange: Exchange;
  readonly #url: URL;
  readonly #limits: BodyLimits;
  readonly #call: Call;
  #creditMs: number;
  #bytes = 0;
  #isOver = false;

  constructor(exchange: Exchange, url: URL, limits: BodyLimits, call: Call) {
    this.#exchange = exchange;
    this.#url = url;
    this.#limits = limits;
    this.#call = call;
    this.#creditMs = limits.graceMs;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    try {
      if (!this.#isOver && this.#exchange.isDry) await this.#wait();
      const chunk = this.#isOver ? undefined : this.#exchange.take();
      if (chunk === undefined) return await this.return();
      this.#take(chunk.length);
      return { done: false, value: chunk };
    } catch (err) {
      await this.return();
      throw this.#call.errorOf(err, (other) => readError(this.#url, other));
    }
  }

  async return(): Promise<{ done: true; value: undefined }> {
    this.#isOver = true;
    this.#call.end();
    return { done: true, value: undefined };
  }

  async #wait(): Promise<void> {
    const from = performance.now();
    const timer = setTimeout(() => {
      const floor = `below ${this.#limits.minBytesPerSecond} bytes a second`;
      this.#call.stop(new XrpcError('too-slow', `${this.#url.host}: ${floor}`));
    }, this.#creditMs);
    await this.#exchange.wait();
    clearTimeout(timer);
    this.#creditMs = Math.max(0, this.#creditMs - (performance.now() - from));
  }

  #take(bytes: number): void {
    const { minBytesPerSecond, graceMs, maxBytes } = this.#limits;
    this.#bytes += bytes;
    checkSize(this.#bytes, this.#url, maxBytes);
    const earnedMs = (bytes / minBytesPerSecond) * 1000;
    this.#creditMs = Math.min(graceMs, this.#creditMs + earnedMs);
  }
}

async function* unpacked(sent: SentBody, url: URL, maxBytes: number, call: Call): AsyncGenerator<Uint8Array> {
  try {
    yield* capped(inflated(sent), url, maxBytes);
  } catch (err) {
    throw call.errorOf(err, (other) => readError(url, other));
  } finally {
    await sent.return();
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
