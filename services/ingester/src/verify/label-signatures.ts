import type { Label } from '@headwater/events';
import { IdentityError, type IdentityResolver } from '@headwater/identity';
import { backoff, sleep } from '@headwater/ops';
import { unsignedLabel } from '@headwater/repo';
import { type Labeler, LabelerError } from '../live/labeler.ts';
import type { SignatureChecker } from './signatures.ts';

export interface LabelSignaturesOptions {
  labeler: Labeler;
  identities: Pick<IdentityResolver, 'refresh'>;
  signatures: Pick<SignatureChecker, 'verify'>;
  /** Least time between two looks at the labeler's document, in ms. */
  lookMs?: number;
  pause?: { baseMs: number; maxMs: number };
}

/** So old may a document be by which an old label is refused. */
const freshMs = 60_000;
/** As much may a labeler's clock be behind ours. */
const skewMs = 5 * 60_000;

/**
 * Checks labels with the key that their labeler's DID document names under
 * `#atproto_label` (no other key will do, says the specification).
 *
 *   key at hand ──► good ──► believed
 *        └ bad ──► document as it is now ──► good ──► believed
 *                                               └ bad ──► refused
 *
 * A refused label does not come again, so none is refused by a document that
 * may be older than it: the labeler's stream waits until the document can be
 * had. A label that is older than the document costs one look a minute: after
 * a change of keys a labeler may send millions whose signatures are good no more.
 */
export class LabelSignatures {
  readonly #options: Required<Omit<LabelSignaturesOptions, 'pause'>> & Pick<LabelSignaturesOptions, 'pause'>;
  #key: string;
  /** When the document was asked for; what a cache gave is of no age. */
  #readAt = 0;

  /** @throws LabelerError where the labeler has no key */
  constructor(options: LabelSignaturesOptions) {
    this.#options = { lookMs: 5_000, ...options };
    this.#key = keyOf(options.labeler.did, options.labeler.key);
  }

  /**
   * Whether each label is signed by its labeler; waits while its document can't be had.
   *
   * @throws LabelerError, IdentityError when the labeler is one no more; the signal's reason
   */
  async verify(labels: readonly Label[], signal: AbortSignal): Promise<boolean[]> {
    const good = await this.#check(labels);
    const doubtful = labels.filter((label, i) => !good[i] && label.sig !== undefined);
    if (!doubtful.some((label) => this.#mayBeNewer(label))) return good;
    const before = this.#key;
    await this.#look(signal);
    if (this.#key === before) return good;
    // Where the key has changed in the middle, some are signed by either.
    const again = await this.#check(labels);
    return good.map((isGood, i) => isGood || again[i]!);
  }

  async #check(labels: readonly Label[]): Promise<boolean[]> {
    return await this.#options.signatures.verify(
      labels.map((label) => ({
        key: this.#key,
        unsigned: unsignedLabel(label),
        sig: Buffer.from(label.sig?.$bytes ?? '', 'base64'),
      })),
    );
  }

  #mayBeNewer({ cts }: Label): boolean {
    return this.#readAt < Date.now() - freshMs || Date.parse(cts) > this.#readAt - skewMs;
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { labeler, identities, lookMs, pause } = this.#options;
    await sleep(Math.max(0, this.#readAt + lookMs - Date.now()), signal);
    for (let failures = 1; ; failures++) {
      signal.throwIfAborted();
      const at = Date.now();
      try {
        const { labelKey } = await identities.refresh(labeler.did);
        this.#key = keyOf(labeler.did, labelKey);
        this.#readAt = at;
        return;
      } catch (err) {
        if (!(err instanceof IdentityError) || err.reason !== 'unavailable') throw err;
        const pauseMs = backoff(failures, { baseMs: 500, maxMs: 30_000, ...pause });
        await sleep(Math.max(pauseMs, err.retryAfterMs ?? 0), signal);
      }
    }
  }
}

function keyOf(did: string, key: string | undefined): string {
  if (key !== undefined) return key;
  throw new LabelerError(did, 'its DID document names no #atproto_label key, and labels must be signed');
}
