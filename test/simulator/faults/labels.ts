import { deriveKey } from '../protocol/keys.ts';
import { type Labeler, labelFrame, type UnsignedLabel } from '../world/labeler.ts';
import type { Expectation, FaultLog } from './registry.ts';

type Labels = Record<string, unknown>[];

/** Sends something wrong; `labels` is what it was about. */
interface LabelFault {
  expect: Expectation;
  run(labeler: Labeler, own: UnsignedLabel[]): Labels;
}

const STRANGER = 'did:plc:ewvi7nxzyoun6zhxrhs64oiz';

/** Faults of labels, by name. */
export const LABEL_FAULTS = {
  /** Given, taken back and given again: sent in another order than made. */
  'label-reordered': {
    expect: 'any',
    run: (labeler, [{ uri, val }]) => {
      const made = [
        labeler.state({ uri, val }),
        labeler.state({ uri, val, neg: true }),
        labeler.state({ uri, val }),
      ];
      return inFrames(labeler, [made[2]!, made[0]!, made[1]!]);
    },
  },
  /** Taken back; then the frame that had given it comes once more. */
  'label-replayed': {
    expect: 'any',
    run: (labeler, [{ uri, val }]) => {
      const given = labeler.state({ uri, val });
      return inFrames(labeler, [given, labeler.state({ uri, val, neg: true }), given]);
    },
  },
  /** Given to a version of the subject, taken back without saying which. */
  'label-taken-back-without-cid': {
    expect: 'any',
    run: (labeler, [{ uri, val }]) => {
      const cid = 'bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku';
      return inFrames(labeler, [labeler.state({ uri, val, cid }), labeler.state({ uri, val, neg: true })]);
    },
  },
  'label-forged-src': {
    expect: 'drop',
    run: (labeler, own) => labeled(labeler, forged(own, { src: STRANGER })),
  },
  'label-bad-signature': {
    expect: 'drop',
    run: (labeler, own) => {
      const wrong = deriveKey('k256', 'not the labeler');
      return sent(
        labeler,
        forged(own, { val: 'forged' }).map((label) => labeler.signed(label, wrong)),
      );
    },
  },
  'label-no-signature': {
    expect: 'drop',
    run: (labeler, own) => sent(labeler, forged(own, { val: 'unsigned' }) as never),
  },
  'label-bad-exp': {
    expect: 'any',
    run: (labeler, own) => labeled(labeler, forged(own, { val: 'odd-exp', exp: 'tomorrow' })),
  },
  'label-empty-exp': {
    expect: 'any',
    run: (labeler, own) => labeled(labeler, forged(own, { val: 'no-exp', exp: '' })),
  },
  'label-bad-cts': {
    expect: 'drop',
    run: (labeler, own) => labeled(labeler, forged(own, { val: 'odd-cts', cts: 'now' })),
  },
  'label-bad-uri': {
    expect: 'drop',
    run: (labeler, own) => labeled(labeler, forged(own, { uri: 'nonsense' })),
  },
  'label-nul': { expect: 'drop', run: (labeler, own) => labeled(labeler, forged(own, { val: 'nu\u0000l' })) },
  'label-long-value': {
    expect: 'drop',
    run: (labeler, own) => labeled(labeler, forged(own, { val: 'v'.repeat(200) })),
  },
  'label-no-map': { expect: 'drop', run: (labeler) => sent(labeler, ['nonsense', 7, null] as never) },
} as const satisfies Record<
  string,
  { expect: Expectation; run(labeler: Labeler, own: [UnsignedLabel]): Labels }
>;

export type LabelFaultName = keyof typeof LABEL_FAULTS;

/** Faults of a network's labelers. */
export class LabelFaults {
  readonly #log: FaultLog;

  constructor(log: FaultLog) {
    this.#log = log;
  }

  /** Strikes a labeler, about a subject that it has labelled or that is named. */
  inject(name: LabelFaultName, labeler: Labeler, subject?: { uri: string; val: string }): void {
    const about = subject ?? [...labeler.held.values()].at(-1) ?? { uri: labeler.did, val: 'spam' };
    const own = {
      ver: 1,
      src: labeler.did,
      cts: new Date(Date.UTC(2026, 4, 20)).toISOString(),
      uri: about.uri,
      val: about.val,
    };
    const { expect, run } = LABEL_FAULTS[name] as LabelFault;
    const seq = labeler.feed.newest + 1;
    run(labeler, [own]);
    this.#log.note({ fault: name, expect, service: `labeler${labeler.index}`, seq, uri: about.uri });
  }
}

function forged(own: UnsignedLabel[], change: Partial<UnsignedLabel>): UnsignedLabel[] {
  return own.map((label) => ({ ...label, ...change }));
}

function labeled(labeler: Labeler, labels: UnsignedLabel[]): Labels {
  return sent(
    labeler,
    labels.map((label) => labeler.signed(label)),
  );
}

function inFrames(labeler: Labeler, labels: UnsignedLabel[]): Labels {
  return labels.flatMap((label) => labeled(labeler, [label]));
}

function sent(labeler: Labeler, labels: Labels): Labels {
  labeler.feed.push(labelFrame(labels), { type: '#labels' });
  return labels;
}
