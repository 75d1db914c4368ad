import { backoff, sleep } from '@headwater/ops';
import { parseDid } from './did.ts';
import { type Identity, parseDocument } from './document.ts';
import { IdentityError } from './errors.ts';
import { Gate } from './gate.ts';
import type { HttpAnswer, HttpGet } from './http.ts';

export interface DocumentSourceOptions {
  get: HttpGet;
  plcUrl: string;
  /** Questions to the PLC directory at once. */
  plcConcurrency: number;
  /** Development only: did:web of localhost, with a port, over plain http. */
  allowLocalhost: boolean;
  timeoutMs: number;
  tries: number;
}

const MAX_DOCUMENT_BYTES = 256 * 1024;
/** A pause that the directory asks for is waited for up to here, and handed to the caller beyond. */
const MAX_WAIT_MS = 5_000;

/** DID documents from where they are published: the PLC directory and did:web hosts. */
export class DocumentSource {
  readonly #options: DocumentSourceOptions;
  /** Without a slash at its end. */
  readonly #directory: string;
  readonly #plc: Gate;
  /** did:web hosts differ from each other; this bounds them together. */
  readonly #web: Gate;

  constructor(options: DocumentSourceOptions) {
    this.#options = options;
    this.#directory = options.plcUrl.replace(/\/$/, '');
    this.#plc = new Gate(options.plcConcurrency);
    this.#web = new Gate(options.plcConcurrency * 4);
  }

  /**
   * Fetches and reads a DID's document.
   *
   * @throws IdentityError of every reason but `no-pds`
   */
  async fetch(did: string): Promise<Identity> {
    const gate = did.startsWith('did:plc:') ? this.#plc : this.#web;
    const answer = await this.#ask(did, this.urlOf(did), gate);
    if (answer.status === 410) throw new IdentityError('tombstoned', did, 'the DID is tombstoned');
    // A directory says "no such DID" with 404; another 4xx of a web host means the same for us.
    if (answer.status !== 200) throw new IdentityError('not-found', did, `answered ${answer.status}`);
    return parseDocument(did, parseJson(did, answer.body));
  }

  /** Where a DID's document is published. @throws IdentityError `bad-did` */
  urlOf(did: string): string {
    const parsed = parseDid(did);
    if (parsed.method === 'web') return this.#webUrl(did, parsed);
    return `${this.#directory}/${did}`;
  }

  #webUrl(did: string, { host, port }: { host: string; port: string | undefined }): string {
    if (this.#options.allowLocalhost && host === 'localhost') {
      return `http://localhost${port ? `:${port}` : ''}/.well-known/did.json`;
    }
    const isPublicName = host.includes('.') && !/\.[0-9]+$/.test(host);
    if (port || !isPublicName) {
      throw new IdentityError('bad-did', did, 'a did:web names a public host without a port');
    }
    return `https://${host}/.well-known/did.json`;
  }

  /** Asks until there is an answer that means something: 200, 404, 410 and other 4xx. */
  async #ask(did: string, url: string, gate: Gate): Promise<HttpAnswer> {
    let last: { cause?: unknown; retryAfterMs?: number | undefined; status?: number } = {};
    for (let attempt = 1; attempt <= this.#options.tries; attempt++) {
      if (gate.pausedMs > MAX_WAIT_MS) {
        last = { ...last, retryAfterMs: gate.pausedMs };
        break;
      }
      last = await gate.run(() => this.#once(url));
      if ('body' in last) {
        const answer = last as HttpAnswer;
        if (!isTemporary(answer.status) && (gate !== this.#plc || isOfDirectory(answer))) return answer;
        if (answer.status === 429 && gate === this.#plc) {
          gate.pause(answer.retryAfterMs ?? backoff(attempt, { baseMs: 1_000 }));
          continue;
        }
      }
      if (attempt < this.#options.tries) await sleep(backoff(attempt, { baseMs: 200, maxMs: 2_000 }));
    }
    const { cause, retryAfterMs, status } = last;
    const { host } = new URL(url);
    throw new IdentityError('unavailable', did, `${host} gave no answer${status ? `: ${status}` : ''}`, {
      cause,
      host,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    });
  }

  async #once(url: string): Promise<HttpAnswer | { cause: unknown }> {
    const { get, timeoutMs } = this.#options;
    try {
      return await get(url, { maxBytes: MAX_DOCUMENT_BYTES, timeoutMs });
    } catch (cause) {
      return { cause };
    }
  }
}

function isTemporary(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || status >= 500 || status < 200;
}

/**
 * Whether the directory itself can have said so: what stands before it (a
 * proxy, a firewall) answers with pages of its own, which say nothing of a DID.
 */
function isOfDirectory({ status, body }: HttpAnswer): boolean {
  if (status !== 200) return status === 400 || status === 404 || status === 410;
  return /^\s*\{/.test(body);
}

function parseJson(did: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new IdentityError('bad-document', did, 'the DID document is not JSON', { cause });
  }
}
