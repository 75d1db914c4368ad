/** Gathers items by key. Most keys have one item, which then needs no list. */
export function byKey<T extends object>(
  items: Iterable<T>,
  keyOf: (item: T) => string,
): Map<string, T | T[]> {
  const all = new Map<string, T | T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const known = all.get(key);
    if (known === undefined) all.set(key, item);
    else if (Array.isArray(known)) known.push(item);
    else all.set(key, [known, item]);
  }
  return all;
}
