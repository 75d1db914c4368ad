import type { LabelSignatures } from '../verify/label-signatures.ts';
import type { Outcome } from './feed.ts';
import { type Gate, type Item, slim } from './gate.ts';
import { without } from './label-entries.ts';

/**
 * Where the labels of one labeler are verified before they go on, in the order
 * of arrival. All of them hang on one document: while it can't be had the
 * labeler's socket is not read.
 */
export class LabelGate implements Pick<Gate, 'admit' | 'flush'> {
  readonly #signatures: Pick<LabelSignatures, 'verify'>;
  readonly #ready: (item: Item) => void;

  constructor(signatures: Pick<LabelSignatures, 'verify'>, ready: (item: Item) => void) {
    this.#signatures = signatures;
    this.#ready = ready;
  }

  /** @throws as LabelSignatures.verify: nothing of the batch is through then */
  async admit(items: readonly Item[], signal: AbortSignal): Promise<void> {
    const labels = items.flatMap(({ outcome }) => outcome.labels ?? []).map(({ label }) => label);
    const good = labels.length > 0 ? await this.#signatures.verify(labels, signal) : [];
    let at = 0;
    for (const item of items) {
      const count = item.outcome.labels?.length ?? 0;
      this.#ready(slim({ ...item, outcome: believed(item.outcome, good.slice(at, at + count)) }));
      at += count;
    }
  }

  async flush(): Promise<void> {}
}

function believed(outcome: Outcome, good: readonly boolean[]): Outcome {
  if (good.every((isGood) => isGood)) return outcome;
  return without(outcome, ({ sig }, i) => {
    if (good[i]) return undefined;
    return sig === undefined ? 'unsigned' : 'bad-signature';
  });
}
