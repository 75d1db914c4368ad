import { IdentityError } from '@headwater/identity';
import { backoff, sleep } from '@headwater/ops';
import { isGood, type SignatureChecker } from './signatures.ts';
import type { SigningKeys } from './signing-keys.ts';
import {
  type Judgement,
  type Refusal,
  type Statement,
  structureOf,
  type Undecided,
  type Verdict,
  type Verifier,
} from './verifier.ts';

export interface FullVerifierOptions {
  keys: SigningKeys;
  signatures: SignatureChecker;
  /** How long a statement waits for its document while the directory gives no answer, in ms. */
  waitMs: number;
  pause?: { baseMs: number; maxMs: number };
}

/** Failures in a row after which the directory counts as away. */
const awayAfter = 3;
const lookAgainMs = 5_000;

/**
 * Structure, then the signature with the key of the DID document (Sync v1.1).
 *
 *   key at hand ──► good ──► believed
 *        │            └ bad ──► document as it is now ──► another key, good ──► believed
 *        └ not at hand ──► document                            └ otherwise ──► refused
 *
 * A statement whose document can't be had is never believed on trust: while
 * the directory is away it waits, and then its repo is fetched when the
 * directory is back.
 */
export class FullVerifier implements Verifier {
  readonly #options: FullVerifierOptions;
  /** Questions about did:plc in a row that got no answer. */
  #unanswered = 0;

  constructor(options: FullVerifierOptions) {
    this.#options = options;
  }

  async check(statements: readonly Statement[]): Promise<Judgement[]> {
    const { keys, signatures } = this.#options;
    const structures = statements.map(structureOf);
    await keys.load(statements.map(({ state }) => state.did));
    const known = statements.flatMap(({ state }, i) => {
      const key = 'ok' in structures[i]! ? keys.held(state.did) : undefined;
      return key === undefined ? [] : [{ i, key, ...state.root }];
    });
    const good = await signatures.verify(known);
    const isSigned = new Set(known.flatMap(({ i }, n) => (good[n] ? [i] : [])));
    return structures.map((structure, i) => {
      if ('refused' in structure || isSigned.has(i)) return structure;
      return { undecided: undecidedOf(statements[i]!, structure.ok) };
    });
  }

  async settle(undecided: Undecided, signal: AbortSignal): Promise<Verdict> {
    const until = undecided.since + this.#options.waitMs;
    for (let failures = 1; ; failures++) {
      try {
        const signed = await this.#unlessAway(this.#isSigned(undecided), until, signal);
        if (signed === 'away') return { refused: { reason: 'no-directory' } };
        return signed ? { ok: undecided.structure } : { refused: { reason: 'bad-signature' } };
      } catch (err) {
        if (!(err instanceof IdentityError)) throw err;
        if (err.reason !== 'unavailable') return { refused: withoutIdentity(err) };
        if (Date.now() >= until) return { refused: { reason: 'no-directory' } };
        const pauseMs = backoff(failures, { baseMs: 500, maxMs: 10_000, ...this.#options.pause });
        await sleep(Math.min(Math.max(pauseMs, err.retryAfterMs ?? 0), until - Date.now()), signal);
        signal.throwIfAborted();
      }
    }
  }

  async drop(did: string): Promise<void> {
    await this.#options.keys.drop(did);
  }

  async #asked<T>(did: string, ask: () => Promise<T>): Promise<T> {
    const isDirectory = did.startsWith('did:plc:');
    try {
      const answer = await ask();
      if (isDirectory) this.#unanswered = 0;
      return answer;
    } catch (err) {
      if (isDirectory) this.#unanswered = isUnavailable(err) ? this.#unanswered + 1 : 0;
      throw err;
    }
  }

  /**
   * The answer, or that it is not waited for any more: a directory that is away
   * lets only few questions fail at a time, and the others wait for their turn.
   */
  async #unlessAway(answer: Promise<boolean>, until: number, signal: AbortSignal): Promise<boolean | 'away'> {
    answer.catch(() => {});
    for (;;) {
      const late = new AbortController();
      const either = AbortSignal.any([signal, late.signal]);
      const tick = sleep(Math.max(until - Date.now(), lookAgainMs), either).then(() => 'tick' as const);
      const first = await Promise.race([answer, tick]).finally(() => late.abort());
      if (first !== 'tick') return first;
      signal.throwIfAborted();
      if (this.#unanswered >= awayAfter) return 'away';
    }
  }

  /** With the key at hand, then with the one of the document, then with the one of the document as it is now. */
  async #isSigned({ did, signed }: Undecided): Promise<boolean> {
    const { keys } = this.#options;
    const held = keys.held(did);
    if (held !== undefined && isGood({ key: held, ...signed })) return true;
    const known = held ?? (await this.#asked(did, () => keys.resolve(did)));
    if (known !== held && isGood({ key: known, ...signed })) return true;
    const fresh = await this.#asked(did, () => keys.refresh(did));
    return fresh !== undefined && fresh !== known && isGood({ key: fresh, ...signed });
  }
}

/** With copies of the bytes: the originals are part of a frame, and of whatever came with it through the socket. */
function undecidedOf({ state }: Statement, structure: Undecided['structure']): Undecided {
  const { unsigned, sig } = state.root;
  const signed = { unsigned: Uint8Array.from(unsigned), sig: Uint8Array.from(sig) };
  return { did: state.did, structure, signed, since: Date.now() };
}

function isUnavailable(err: unknown): boolean {
  return err instanceof IdentityError && err.reason === 'unavailable';
}

function withoutIdentity({ reason }: IdentityError): Refusal {
  const isNobody = reason === 'not-found' || reason === 'tombstoned' || reason === 'bad-did';
  return isNobody ? { reason: 'no-identity', isNobody } : { reason: 'no-key' };
}
