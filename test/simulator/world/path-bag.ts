import type { Random } from '../content/random.ts';

/** A set of paths from which one can be drawn at once. */
export class PathBag {
  #paths: string[];
  #places: Map<string, number>;

  constructor(paths: Iterable<string>) {
    this.#paths = [...paths];
    this.#places = new Map(this.#paths.map((path, i) => [path, i]));
  }

  get size(): number {
    return this.#paths.length;
  }

  draw(random: Random): string | undefined {
    return this.#paths[random.below(this.#paths.length)];
  }

  add(path: string): void {
    if (this.#places.has(path)) return;
    this.#places.set(path, this.#paths.length);
    this.#paths.push(path);
  }

  delete(path: string): void {
    const place = this.#places.get(path);
    if (place === undefined) return;
    this.#places.delete(path);
    const last = this.#paths.pop()!;
    if (last === path) return;
    this.#paths[place] = last;
    this.#places.set(last, place);
  }
}
