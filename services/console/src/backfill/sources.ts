import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { listRepos, listReposByCollection, type RepoPage, XrpcClient } from '@headwater/xrpc';
import { CommandError } from '../errors.ts';
import type { ConsoleSettings } from '../open.ts';

/** Where the repos to look at come from; several add up. */
export interface Sources {
  did?: string[];
  /** One DID a line; `-` is standard input. */
  file?: string;
  /** A PDS or relay: all that it lists. */
  host?: string;
  /** Repos with at least one record of it, as `host` (else the first relay) knows them. */
  collection?: string;
}

export interface Wanted {
  did: string;
  /** As listed; empty where nobody said. */
  rev: string;
  host: string;
}

/** Pages that a host may send in a row with nothing new on them, before it is taken to go round in circles. */
const mostEmptyPages = 50;

/**
 * The repos of the sources, by lots, in their order.
 *
 * @throws CommandError for what is no DID, a file that can't be read, a host that fails
 */
export async function* wantedRepos(sources: Sources, settings: ConsoleSettings): AsyncGenerator<Wanted[]> {
  const { did = [], file, host, collection } = sources;
  if (did.length > 0) yield did.map((one) => unlisted(one));
  if (file !== undefined) yield* ofFile(file);
  if (host !== undefined || collection !== undefined) yield* ofHost(sources, settings);
}

function unlisted(text: string): Wanted {
  if (!/^did:(plc|web):./.test(text)) {
    throw new CommandError(`${text} is not a DID (did:plc:… or did:web:…)`);
  }
  return { did: text, rev: '', host: '' };
}

async function* ofFile(path: string): AsyncGenerator<Wanted[]> {
  const input = path === '-' ? process.stdin : createReadStream(path);
  let failure: CommandError | undefined;
  let fail = (_: CommandError): void => {};
  input.once('error', (err: Error) => {
    failure = new CommandError(`${path} can't be read: ${err.message}`);
    fail(failure);
  });
  const lines = createInterface({ input })[Symbol.asyncIterator]();
  let lot: Wanted[] = [];
  for (;;) {
    // A promise for each line: one that all were raced with would keep all of them.
    const line = Promise.withResolvers<IteratorResult<string>>();
    fail = line.reject;
    lines.next().then(line.resolve, line.reject);
    const { done, value } = await line.promise;
    const text = value?.trim() ?? '';
    if (text !== '' && !text.startsWith('#')) lot.push(unlisted(text));
    if (lot.length === 1000 || (done && lot.length > 0)) {
      yield lot;
      lot = [];
    }
    // The stream's error may come after its end.
    if (done) await new Promise((resolve) => setImmediate(resolve));
    if (failure !== undefined) throw failure;
    if (done) return;
  }
}

async function* ofHost({ host, collection }: Sources, settings: ConsoleSettings): AsyncGenerator<Wanted[]> {
  const place = host ?? settings.relayHosts?.[0];
  if (place === undefined) throw new CommandError('--collection needs a --host, or INGESTER_RELAY_HOSTS');
  await using client = new XrpcClient(settings);
  const read = (cursor: string | undefined): Promise<RepoPage> =>
    collection === undefined
      ? listRepos(client, place, { cursor })
      : listReposByCollection(client, place, collection, { cursor });
  const cursors = new Set<string>();
  for (let cursor: string | undefined, empty = 0; ; ) {
    const page = await read(cursor).catch((err: Error) => {
      throw new CommandError(`${place} can't be listed at cursor ${cursor ?? '(none)'}: ${err.message}`);
    });
    // Who is not active can't be fetched; the enumeration notes it.
    const repos = page.repos.filter(({ active }) => active);
    empty = repos.length === 0 ? empty + 1 : 0;
    if (repos.length > 0)
      yield repos.map(({ did, rev }) => ({ did, rev, host: host === undefined ? '' : place }));
    cursor = page.cursor;
    if (cursor === undefined) return;
    if (cursors.has(cursor) || empty > mostEmptyPages) {
      throw new CommandError(`${place} goes round in circles at cursor ${cursor}`);
    }
    cursors.add(cursor);
  }
}
