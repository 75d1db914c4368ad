/** As many accounts as get nearly all the attention. */
const MANY = 3000;

/**
 * A seeded source of chance: a counter through a mixing function (splitmix32),
 * so that a source can be made anywhere, for a repo or a record, at the cost of
 * a few multiplications.
 */
export class Random {
  #state: number;

  /** The numbers name what the source is for: the same ones give the same sequence. */
  constructor(...names: number[]) {
    let state = 0x2545f491;
    for (const name of names) {
      state = mix(state ^ (name | 0));
      state = mix(state + Math.floor(name / 4_294_967_296));
    }
    this.#state = state;
  }

  /** An integer of 32 bits. */
  bits(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    return mix(this.#state) >>> 0;
  }

  /** In [0, 1). */
  next(): number {
    return this.bits() / 4_294_967_296;
  }

  /** An integer in [0, n). */
  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** An index below n: a few of them very often, as popularity goes; nearly always one of the first thousands. */
  popular(n: number): number {
    const x = this.next();
    if (x > 0.97) return this.below(n);
    return Math.floor(Math.min(n, MANY) * (x / 0.97) ** 3);
  }

  /** One of the keys, each as likely as its weight. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    let total = 0;
    for (const key in weights) total += weights[key];
    let left = this.next() * total;
    let last: K | undefined;
    for (const key in weights) {
      last = key;
      left -= weights[key];
      if (left < 0) return key;
    }
    return last!;
  }
}

function mix(n: number): number {
  n = Math.imul(n ^ (n >>> 16), 0x21f0aaad);
  n = Math.imul(n ^ (n >>> 15), 0x735a2d97);
  return n ^ (n >>> 15);
}

/** A number for a text, to name a source by it. */
export function numberOf(text: string): number {
  let n = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) n = Math.imul(n ^ text.charCodeAt(i), 0x01000193);
  return n >>> 0;
}
