/** Collections whose verdict is remembered: the network has some thousands, a hostile repo may make up any number. */
const remembered = 10_000;

/**
 * Which collections are kept. `app.bsky.*` is every NSID below `app.bsky`, any
 * number of segments deep; `*` alone, or no pattern at all, is everything.
 *
 * @param patterns NSIDs, or prefixes that end in `*`
 */
export function collectionFilter(patterns: readonly string[]): (collection: string) => boolean {
  const exact = new Set(patterns.filter((pattern) => !pattern.endsWith('*')));
  const prefixes = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1));
  if (patterns.length === 0 || prefixes.includes('')) return () => true;
  const known = new Map<string, boolean>();
  return (collection) => {
    let kept = known.get(collection);
    if (kept === undefined) {
      kept = exact.has(collection) || prefixes.some((prefix) => collection.startsWith(prefix));
      if (known.size < remembered) known.set(collection, kept);
    }
    return kept;
  };
}
