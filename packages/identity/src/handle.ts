import { Resolver } from 'node:dns/promises';
import type { Metrics } from '@headwater/ops';
import { parseDid } from './did.ts';
import type { Identity } from './document.ts';
import { IdentityError } from './errors.ts';
import { isHandle } from './handle-syntax.ts';
import type { HttpAnswer, HttpGet } from './http.ts';

/** The part of node:dns that is used; tests give their own. */
export interface TxtResolver {
  resolveTxt(name: string): Promise<string[][]>;
}

export interface HandleResolverOptions {
  get: HttpGet;
  metrics: Metrics;
  dns?: TxtResolver | undefined;
  /** A service asked by com.atproto.identity.resolveHandle instead of DNS and the web (networks on one machine). */
  resolverUrl?: string | undefined;
  timeoutMs?: number;
}

/** What one way of asking gave: a DID, nothing, or no answer at all. */
type Answer = { did: string } | { none: true } | { failed: unknown };

const NONE: Answer = { none: true };
const MAX_BYTES = 4096;

/** Handle → DID, as the AT Protocol's handle specification has it. */
export class HandleResolver {
  readonly #options: HandleResolverOptions;
  readonly #dns: TxtResolver;
  readonly #lookups;

  constructor(options: HandleResolverOptions) {
    this.#options = options;
    this.#dns = options.dns ?? new Resolver({ timeout: 2_000, tries: 2 });
    this.#lookups = options.metrics.counter('handle_lookups_total', 'Handles resolved, by outcome.', [
      'outcome',
    ]);
  }

  /**
   * The DID that a handle names: TXT of `_atproto.HANDLE` first, then
   * `https://HANDLE/.well-known/atproto-did`. Null when it names none.
   *
   * @throws IdentityError `unavailable` when nobody could say
   */
  async resolveHandle(handle: string): Promise<string | null> {
    const name = handle.toLowerCase();
    const answer = isHandle(name) ? await this.#ask(name) : NONE;
    this.#lookups.inc({ outcome: 'did' in answer ? 'found' : 'none' in answer ? 'none' : 'unavailable' });
    if ('did' in answer) return answer.did;
    if ('none' in answer) return null;
    throw new IdentityError('unavailable', name, 'the handle could not be resolved', {
      cause: answer.failed,
    });
  }

  /** Whether a handle names this DID. @throws IdentityError `unavailable` */
  async verifyHandle(did: string, handle: string): Promise<boolean> {
    return (await this.resolveHandle(handle)) === did;
  }

  /** The handle that a document claims, if it names the DID back. @throws IdentityError `unavailable` */
  async verifiedHandle(identity: Identity): Promise<string | undefined> {
    const { did, handle } = identity;
    return handle && (await this.verifyHandle(did, handle)) ? handle : undefined;
  }

  async #ask(handle: string): Promise<Answer> {
    if (this.#options.resolverUrl) return this.#byXrpc(this.#options.resolverUrl, handle);
    const [dns, web] = await Promise.all([this.#byDns(handle), this.#byWeb(handle)]);
    if ('did' in dns || 'did' in web) return 'did' in dns ? dns : web;
    return 'failed' in dns ? dns : web;
  }

  async #byDns(handle: string): Promise<Answer> {
    let records: string[][];
    try {
      records = await this.#dns.resolveTxt(`_atproto.${handle}`);
    } catch (err) {
      return isNoSuchName(err) ? NONE : { failed: err };
    }
    const dids = new Set(records.map((parts) => parts.join('')).filter((text) => text.startsWith('did=')));
    // Several that differ: the specification says that none counts.
    return dids.size === 1 ? toAnswer([...dids][0]!.slice('did='.length)) : NONE;
  }

  async #byWeb(handle: string): Promise<Answer> {
    const answer = await this.#get(`https://${handle}/.well-known/atproto-did`);
    if ('failed' in answer) return answer;
    if (answer.status !== 200) return statusAnswer(answer.status);
    return toAnswer(answer.body.split('\n', 1)[0]!.trim());
  }

  async #byXrpc(service: string, handle: string): Promise<Answer> {
    const query = `handle=${encodeURIComponent(handle)}`;
    const answer = await this.#get(
      `${service.replace(/\/$/, '')}/xrpc/com.atproto.identity.resolveHandle?${query}`,
    );
    if ('failed' in answer) return answer;
    if (answer.status !== 200) return statusAnswer(answer.status);
    try {
      return toAnswer((JSON.parse(answer.body) as { did?: unknown } | null)?.did);
    } catch (failed) {
      return { failed };
    }
  }

  async #get(url: string): Promise<HttpAnswer | { failed: unknown }> {
    try {
      return await this.#options.get(url, {
        maxBytes: MAX_BYTES,
        timeoutMs: this.#options.timeoutMs ?? 5_000,
      });
    } catch (err) {
      return isNoSuchName(err) ? { status: 404, body: '' } : { failed: err };
    }
  }
}

function statusAnswer(status: number): Answer {
  return status === 429 || status >= 500 ? { failed: new Error(`answered ${status}`) } : NONE;
}

function toAnswer(did: unknown): Answer {
  try {
    if (typeof did !== 'string') return NONE;
    parseDid(did);
    return { did };
  } catch {
    return NONE;
  }
}

/** The name does not exist, or has no record of that type: an answer, not a failure. */
function isNoSuchName(err: unknown): boolean {
  for (let e = err; e instanceof Error; e = e.cause) {
    const { code } = e as NodeJS.ErrnoException;
    if (code === 'ENOTFOUND' || code === 'ENODATA') return true;
  }
  return false;
}
