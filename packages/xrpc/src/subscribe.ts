import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { checkLiteral, publicLookup } from './addresses.ts';
import type { XrpcClient } from './client.ts';
import { withDefaults } from './defaults.ts';
import { errorOfAnswer, errorOfTransport, XrpcError } from './errors.ts';
import { retryAfterOf } from './rate-limit.ts';
import { Subscription } from './subscription.ts';

export interface SubscribeOptions {
  signal?: AbortSignal | undefined;
  /** The operator named this host, so it may be on a private address. */
  trusted?: boolean;
  /** Called when the host has accepted, before the first frame. */
  onOpen?: () => void;
  /** A connection without data for this long is dead, however much it pings. */
  idleMs?: number;
  /** A larger frame ends the connection with `too-large`. */
  maxFrameBytes?: number;
  /** Above this the socket is not read until the consumer has caught up. */
  queueBytes?: number;
  handshakeTimeoutMs?: number;
}

const defaults = {
  idleMs: 60_000,
  maxFrameBytes: 16 * 2 ** 20,
  queueBytes: 8 * 2 ** 20,
  handshakeTimeoutMs: 20_000,
};

/**
 * Opens one WebSocket connection and gives its frames in order. It ends without
 * an error when the host closes it cleanly; connecting again (with which
 * cursor, after which pause) is the caller's.
 *
 * Memory is bounded: while `queueBytes` wait for the consumer the socket is
 * not read, so the host feels the backpressure.
 *
 * @param url as socketUrl builds it
 * @throws XrpcError, or the signal's reason; both from the iteration
 */
export function subscribe(client: XrpcClient, url: URL, options: SubscribeOptions = {}): Subscription {
  const { signal } = options;
  signal?.throwIfAborted();
  const full = withDefaults(defaults, options);
  const socket = open(client, url, full);
  const stop = () => frames.end(signal?.reason);
  const frames = new Subscription(full.queueBytes, socket, () => {
    clearTimeout(idle);
    signal?.removeEventListener('abort', stop);
  });
  const idle = listen(socket, url, frames, full);
  signal?.addEventListener('abort', stop, { once: true });
  return frames;
}

function open(
  client: XrpcClient,
  url: URL,
  { trusted, maxFrameBytes, handshakeTimeoutMs }: SubscribeOptions,
) {
  const guarded = !trusted && !client.allowPrivateAddresses;
  if (guarded) checkLiteral(url.hostname);
  const socket = new WebSocket(url, {
    headers: { 'user-agent': client.userAgent },
    maxPayload: maxFrameBytes,
    handshakeTimeout: handshakeTimeoutMs,
    // Costs more here than the bandwidth is worth, and is a way to send bombs.
    perMessageDeflate: false,
    followRedirects: false,
    ...(guarded && { lookup: publicLookup }),
  });
  socket.binaryType = 'nodebuffer';
  return socket;
}

function listen(
  socket: WebSocket,
  url: URL,
  frames: Subscription,
  { idleMs, onOpen }: typeof defaults & SubscribeOptions,
): NodeJS.Timeout {
  const idle = setTimeout(() => {
    // While we are the ones who don't read, the host can't be blamed.
    if (socket.isPaused) idle.refresh();
    else frames.end(new XrpcError('timeout', `${url.host}: no data for ${idleMs} ms`));
  }, idleMs);
  socket.on('open', () => {
    idle.refresh();
    onOpen?.();
  });
  socket.on('message', (data) => {
    idle.refresh();
    frames.push(data as Buffer);
  });
  socket.on('error', (err) => frames.end(errorOfTransport(url, err)));
  socket.on('unexpected-response', (request, response) => {
    refusal(url, response).then((err) => {
      frames.end(err);
      request.destroy();
    });
  });
  socket.on('close', (code, reason) => frames.end(closeError(url, code, reason.toString())));
  return idle;
}

/** The error of a host that answered the handshake with something else; it has two seconds to say why. */
async function refusal(url: URL, response: IncomingMessage): Promise<XrpcError> {
  let body = '';
  const timer = setTimeout(() => response.destroy(), 2000);
  try {
    response.setEncoding('utf8');
    for await (const chunk of response) {
      body += chunk;
      if (body.length > 16_384) break;
    }
  } catch {
    // What was read so far has to do.
  }
  clearTimeout(timer);
  return errorOfAnswer(url, response.statusCode ?? 0, body, retryAfterOf(response.headers));
}

/** 1000 and 1001 are a host that is done or restarts; anything else is a failure. */
function closeError(url: URL, code: number, reason: string): XrpcError | undefined {
  if (code === 1000 || code === 1001) return undefined;
  return new XrpcError('network', `${url.host} closed the socket with ${code}${reason && ` ${reason}`}`);
}
