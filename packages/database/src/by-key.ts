/** Gathers items by key. Most keys have one item, which then needs no list. */
export function byKey<T extends object>(
  items: Iterable<T>,
  keyOf: (item: T) => string,
): Map<string, T | T[]> {
  const all = new Map<string, T | T[]>();
  for (const item of items) add(all, keyOf(item), item);
  return all;
}

/** Gathers items by two keys, of which the first is mostly that of the item before. */
export function byPair<T extends object>(
  items: Iterable<T>,
  firstOf: (item: T) => string,
  secondOf: (item: T) => string,
): Map<string, Map<string, T | T[]>> {
  const all = new Map<string, Map<string, T | T[]>>();
  let last: { first: string; within: Map<string, T | T[]> } | undefined;
  for (const item of items) {
    const first = firstOf(item);
    if (last?.first !== first) {
      const within = all.get(first) ?? new Map<string, T | T[]>();
      all.set(first, within);
      last = { first, within };
    }
    add(last.within, secondOf(item), item);
  }
  return all;
}

function add<T extends object>(all: Map<string, T | T[]>, key: string, item: T): void {
  const known = all.get(key);
  if (known === undefined) all.set(key, item);
  else if (Array.isArray(known)) known.push(item);
  else all.set(key, [known, item]);
}
