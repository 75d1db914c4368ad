import { join } from 'node:path';
import { parseArgs } from 'node:util';

export interface Options {
  /** A relay (or PDS) of the real network; undefined: the small network on this machine. */
  relay?: string;
  /** Only these repos; none: all that the relay lists. */
  dids: string[];
  /** Only these collections (NSID, `*` at the end); none: the indexer's default. */
  collections: string[];
  /** Folder of all data. */
  folder: string;
  /** End after the closing table. */
  exit: boolean;
}

export class UsageError extends Error {
  override name = 'UsageError';
}

export const USAGE = `Usage: npm start [-- OPTIONS]

Without options: brings up a small real network (PLC directory and PDS) on this
machine, fetches it whole into PostgreSQL, follows its changes, and compares.

  --relay HOST        a relay or PDS of the real network instead (bsky.network)
  --did DID           only this repo (may be repeated)
  --collection NSID   only this collection, as app.bsky.feed.post or app.bsky.* (may be repeated)
  --exit              end after the closing table; the default when stdin is no terminal
  --stay              keep following after the closing table; the default on a terminal
  --data FOLDER       where the data is kept (default: .headwater)
  --help

DATABASE_URL and REDIS_URL: use these servers instead of private ones.
All settings of docs/configuration.md are handed on to the services.`;

/** @throws UsageError with what is wrong in one line */
export function parseOptions(args: string[], root: string, interactive: boolean): Options | 'help' {
  const values = parse(args);
  if (values.help === true) return 'help';
  const { relay, did: dids = [], collection: collections = [] } = values;
  if (relay === undefined && dids.length > 0) throw new UsageError('--did needs --relay HOST');
  for (const did of dids) {
    if (!/^did:(plc:[a-z2-7]{24}|web:[a-zA-Z0-9.:%-]+)$/.test(did)) throw new UsageError(`not a DID: ${did}`);
  }
  for (const nsid of collections) {
    if (!/^[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+(\.\*)?$/.test(nsid))
      throw new UsageError(`not a collection: ${nsid}`);
  }
  const folder = join(
    values.data ?? join(root, '.headwater'),
    relay === undefined ? 'small-network' : 'relay',
  );
  const exit = values.exit ?? (values.stay === true ? false : !interactive);
  return { ...(relay === undefined ? {} : { relay }), dids, collections, folder, exit };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        relay: { type: 'string' },
        did: { type: 'string', multiple: true },
        collection: { type: 'string', multiple: true },
        exit: { type: 'boolean' },
        stay: { type: 'boolean' },
        data: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}
