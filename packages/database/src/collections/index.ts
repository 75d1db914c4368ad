/**
 * Every collection that has rows of its own, by NSID. A new one is a
 * `Collection` in one of these files and a line here, its tables in tables.ts.
 */
import * as actor from './actor.ts';
import type { Collection } from './collection.ts';
import * as feed from './feed.ts';
import * as graph from './graph.ts';

export const collections: ReadonlyMap<string, Collection> = new Map(
  [...Object.values(actor), ...Object.values(feed), ...Object.values(graph)].map((c) => [c.nsid, c]),
);
