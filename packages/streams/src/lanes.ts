import type { Held } from './hand.ts';
import type { Lane } from './lane.ts';

/** Where the entries of one key are. */
interface Place<T> {
  key: string;
  lane: Lane<T>;
  entries: number;
}

/**
 * Shares entries out among lanes: to the one where others of the same key are, else to the one with the least to do. So
 * no lane has to wait for entries while others have more than they can write, as lanes that go by the key alone do.
 */
export class Lanes<T> {
  readonly #lanes: readonly Lane<T>[];
  readonly #places = new Map<string, Place<T>>();
  readonly #accepted = new Map<Held<T>, Place<T>>();

  constructor(lanes: readonly Lane<T>[]) {
    this.#lanes = lanes;
  }

  /** Queues an entry, for the first time or once more. */
  accept(entry: Held<T>): void {
    const place = this.#accepted.get(entry) ?? this.#place(entry);
    place.lane.push(entry);
  }

  #place(entry: Held<T>): Place<T> {
    const { key } = entry;
    let place = this.#places.get(key);
    if (!place) {
      place = { key, lane: this.#lanes.reduce((a, b) => (b.load < a.load ? b : a)), entries: 0 };
      this.#places.set(key, place);
    }
    place.entries += 1;
    place.lane.load += entry.count;
    this.#accepted.set(entry, place);
    return place;
  }

  /** It is in hand no more. */
  end(entry: Held<T>): void {
    const place = this.#accepted.get(entry);
    if (!place) return;
    this.#accepted.delete(entry);
    place.lane.load -= entry.count;
    place.entries -= 1;
    if (place.entries === 0) this.#places.delete(place.key);
  }
}
