import { Random } from '../content/random.ts';
import { array, encodeJson } from '../protocol/cbor.ts';
import { plcDid } from '../protocol/did.ts';
import { type Frame, frame } from '../protocol/frame.ts';
import { deriveKey, type SigningKey, sign } from '../protocol/keys.ts';
import { Feed } from './feed.ts';
import type { World } from './world.ts';

/** com.atproto.label.defs#label without its signature. */
export interface UnsignedLabel {
  ver: number;
  src: string;
  uri: string;
  cid?: string;
  val: string;
  neg?: boolean;
  cts: string;
  exp?: string;
}

const VALUES = ['spam', 'rude', 'porn', '!warn', 'custom-label', 'intolerant', '!hide', 'sexual'];

/** How many labels may be taken back. */
const RECENT = 200;

/** A labeler: its stream, and what it holds of every subject. */
export class Labeler {
  readonly index: number;
  readonly did: string;
  readonly key: SigningKey;
  readonly feed: Feed;
  url = '';
  /** The newest statement of each subject and value: its own record of the truth. */
  readonly held = new Map<string, UnsignedLabel>();
  readonly #world: World;
  readonly #random: Random;
  readonly #recent: string[] = [];
  #lastMs = 0;

  constructor(world: World, index: number) {
    this.#world = world;
    this.index = index;
    const { seed, window } = world.options;
    this.did = plcDid(`labeler ${seed} ${index}`);
    this.key = deriveKey('k256', `${this.did} label`);
    this.feed = new Feed({ window, next: 1 });
    this.#random = new Random(seed, 40, index);
  }

  /** Its DID document. */
  get document(): Record<string, unknown> {
    const { did, key, url } = this;
    const method = { type: 'Multikey', controller: did };
    return {
      '@context': ['https://www.w3.org/ns/did/v1'],
      id: did,
      alsoKnownAs: [`at://labeler${this.index}.test`],
      verificationMethod: [{ ...method, id: `${did}#atproto_label`, publicKeyMultibase: key.multibase }],
      service: [{ id: '#atproto_labeler', type: 'AtprotoLabeler', serviceEndpoint: url }],
    };
  }

  /** Some labels: new ones, and the taking back of old ones, with and without the CID of the subject. */
  step(): UnsignedLabel[] {
    const count = this.#random.chance(0.8) ? 1 : 2 + this.#random.below(4);
    const labels = Array.from({ length: count }, () => this.#some());
    this.send(labels.map((label) => this.signed(label)));
    return labels;
  }

  /** States that a subject has a label, or (`neg`) has it no more. */
  state(about: Pick<UnsignedLabel, 'uri' | 'val'> & Partial<UnsignedLabel>): UnsignedLabel {
    const label = { ver: 1, src: this.did, cts: this.#now(), ...about };
    const key = keyOf(label);
    this.held.set(key, label);
    this.#recent.push(key);
    if (this.#recent.length > RECENT) this.#recent.shift();
    return label;
  }

  signed(label: UnsignedLabel, key = this.key): Record<string, unknown> {
    const sig = sign(key, encodeJson(label)).toString('base64').replace(/=+$/, '');
    return { ...label, sig: { $bytes: sig } };
  }

  /** Sends labels in one frame; returns its seq. */
  send(labels: readonly unknown[]): number {
    return this.feed.push(labelFrame(labels), { type: '#labels' });
  }

  #some(): UnsignedLabel {
    const random = this.#random;
    const old = random.chance(0.35) ? this.#drawHeld() : undefined;
    if (old) {
      // As real labelers do: taken back for the subject as such, also where it was given to one version.
      const { cid: _, exp: __, neg, ...about } = old;
      const { cid } = old;
      return this.state({
        uri: about.uri,
        val: about.val,
        ...(!neg && { neg: true }),
        ...(cid && random.chance(0.5) && { cid }),
      });
    }
    return this.state({
      ...this.#subject(),
      val: random.pick(VALUES),
      ...(random.chance(0.1) && { exp: this.#expiry() }),
    });
  }

  /** One of those that were made lately. */
  #drawHeld(): UnsignedLabel | undefined {
    const key = this.#recent[this.#random.below(this.#recent.length)];
    return key === undefined ? undefined : this.held.get(key);
  }

  #subject(): { uri: string; cid?: string } {
    const { catalog, accounts } = this.#world;
    if (this.#random.chance(0.2)) return { uri: this.#random.pick(accounts).did };
    const { uri, cid } = catalog.postBefore(this.#random, 1) ?? catalog.nowhere(this.#random);
    return this.#random.chance(0.5) ? { uri, cid } : { uri };
  }

  #expiry(): string {
    return new Date(Date.UTC(2030, this.#random.below(12), 1)).toISOString();
  }

  /** The time, always later than before. */
  #now(): string {
    this.#world.tick(1);
    this.#lastMs = Math.max(this.#lastMs + 1, this.#world.now);
    return new Date(this.#lastMs).toISOString();
  }
}

export function keyOf({ src, uri, val }: UnsignedLabel): string {
  return `${src} ${uri} ${val}`;
}

export function labelFrame(labels: readonly unknown[]): Frame {
  return frame('#labels', { labels: array(labels.map((label) => encodeJson(label))) });
}
