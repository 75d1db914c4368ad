import { Agent } from 'undici';
import { checkLiteral, publicLookup } from './addresses.ts';
import { type BodyLimits, type Download, limitedBody, readText } from './body.ts';
import { Call } from './call.ts';
import { withDefaults } from './defaults.ts';
import { errorOfAnswer, errorOfTransport, XrpcError } from './errors.ts';
import type { Exchange, Head } from './exchange.ts';
import { retryAfterOf } from './rate-limit.ts';

export interface XrpcClientOptions {
  /** Mail address or URL of the operator, sent in the User-Agent. */
  contact?: string;
  version?: string;
  /** Connect to private addresses wherever they come from: tests and networks on one machine. */
  allowPrivateAddresses?: boolean;
  connectTimeoutMs?: number;
}

export interface RequestOptions extends Partial<BodyLimits> {
  signal?: AbortSignal | undefined;
  /**
   * The operator named this host, so it may be on a private address. Where it
   * redirects to is not trusted, unless it is itself.
   */
  trusted?: boolean;
  accept?: string;
  /** From the call to the last byte, the reader's own time included, in milliseconds. */
  deadlineMs?: number;
  /** Longest wait for the answer's head, in milliseconds. */
  headersTimeoutMs?: number;
}

export type JsonOptions = Omit<RequestOptions, 'accept'>;

const defaults = {
  trusted: false,
  accept: '*/*',
  maxBytes: 8 * 2 ** 20,
  minBytesPerSecond: 1024,
  graceMs: 10_000,
  deadlineMs: 60_000,
  headersTimeoutMs: 30_000,
};
const maxRedirects = 5;
const maxErrorBytes = 16 * 2 ** 10;
const errorGraceMs = 2000;

type Full = typeof defaults & { signal?: AbortSignal | undefined };

/**
 * HTTP to hosts that may be hostile. One client a process: it holds the
 * connections. Every call ends within its deadline; what fails is an
 * XrpcError, or the reason of the caller's own signal.
 */
export class XrpcClient implements AsyncDisposable {
  readonly userAgent: string;
  readonly allowPrivateAddresses: boolean;
  readonly #open: Agent;
  readonly #guarded: Agent;

  constructor(options: XrpcClientOptions = {}) {
    const { contact = '', version = '0.1.0', allowPrivateAddresses = false } = options;
    this.userAgent = `headwater/${version}${contact && ` (+${contact})`}`;
    this.allowPrivateAddresses = allowPrivateAddresses;
    const connect = { timeout: options.connectTimeoutMs ?? 10_000 };
    this.#open = agent(connect);
    this.#guarded = allowPrivateAddresses ? this.#open : agent({ ...connect, lookup: publicLookup });
  }

  /**
   * GET, with redirects followed and each hop checked.
   *
   * @throws XrpcError, also for every status that is not a success
   */
  async get(url: URL, options: RequestOptions = {}): Promise<Download> {
    const full: Full = withDefaults(defaults, options);
    const call = new Call(url, full.deadlineMs, full.signal);
    try {
      return await this.#follow(url, full, call);
    } catch (err) {
      call.end();
      if (err instanceof XrpcError) throw err;
      throw call.errorOf(err, (other) => errorOfTransport(url, other));
    }
  }

  /**
   * GET of a JSON document.
   *
   * @throws XrpcError as get, and `bad-answer` when it is not JSON
   */
  async getJson(url: URL, options: JsonOptions = {}): Promise<unknown> {
    const { body } = await this.get(url, { accept: 'application/json', ...options });
    const text = await readText(body);
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new XrpcError('bad-answer', `${url.host}${url.pathname}: not JSON`, { cause });
    }
  }

  /** Closes all connections; calls under way fail. Safe to call twice. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#open.destroy(), this.#guarded.destroy()]);
  }

  async #follow(start: URL, options: Full, call: Call): Promise<Download> {
    let url = start;
    for (let hops = 0; hops <= maxRedirects; hops++) {
      const answer = await this.#send(url, options, options.trusted && url.origin === start.origin, call);
      const location = redirectOf(answer.status, answer.headers);
      if (location === undefined) return finish(url, answer, options, call);
      answer.exchange.leave();
      url = nextHop(location, url);
    }
    throw new XrpcError('refused-address', `${start.host}: more than ${maxRedirects} redirects`);
  }

  async #send(url: URL, { accept, headersTimeoutMs }: Full, trusted: boolean, call: Call): Promise<Answer> {
    const open = trusted || this.allowPrivateAddresses;
    if (!open) checkLiteral(url.hostname);
    const exchange = call.begin();
    const path = url.pathname + url.search;
    const headers = ['accept', accept, 'accept-encoding', 'gzip', 'user-agent', this.userAgent];
    const request = { origin: url.origin, path, method: 'GET', headers, headersTimeout: headersTimeoutMs };
    (open ? this.#open : this.#guarded).dispatch(request, exchange);
    return { ...(await exchange.head), exchange };
  }
}

interface Answer extends Head {
  exchange: Exchange;
}

/** The answer at the end of the redirects: a success is handed on, anything else is read and thrown. */
async function finish(url: URL, { status, headers, exchange }: Answer, options: Full, call: Call) {
  const encoding = String(headers['content-encoding'] ?? 'identity').toLowerCase();
  const known = encoding === 'identity' || encoding === 'gzip' || encoding === 'x-gzip';
  if (status >= 200 && status < 300) {
    if (known) return { status, headers, url, body: limitedBody(exchange, encoding, url, options, call) };
    throw new XrpcError('bad-answer', `${url.host}: content encoding ${encoding} was not asked for`);
  }
  const limits = { ...options, maxBytes: maxErrorBytes, graceMs: errorGraceMs };
  const body = limitedBody(exchange, known ? encoding : 'identity', url, limits, call);
  // The status says enough when its page can't be read.
  const text = await readText(body).catch(() => '');
  options.signal?.throwIfAborted();
  throw errorOfAnswer(url, status, text, retryAfterOf(headers));
}

function agent(connect: object): Agent {
  // HTTP/1.1 only: one body a connection, so that a slow body holds up no other.
  return new Agent({ connect, allowH2: false, bodyTimeout: 0, maxHeaderSize: 32 * 2 ** 10, pipelining: 1 });
}

function redirectOf(status: number, headers: Head['headers']): string | undefined {
  if (![301, 302, 303, 307, 308].includes(status)) return undefined;
  const location = headers['location'];
  return Array.isArray(location) ? location[0] : location;
}

function nextHop(location: string, from: URL): URL {
  const url = URL.parse(location, from.href);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '') {
    throw new XrpcError('refused-address', `${from.host} redirects to what is no address of the web`);
  }
  return url;
}
