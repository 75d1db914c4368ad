import { setImmediate } from 'node:timers/promises';
import type { BlockIndex } from './block-index.ts';
import type { BlockStore } from './block-store.ts';
import { CarReader } from './car.ts';
import { cidText } from './cid.ts';
import { type Commit, decodeCommit } from './commit.ts';
import { RepoError } from './errors.ts';
import type { JsonBytes } from './json-bytes.ts';
import { appendRecord, recordToJson } from './lexicon-json.ts';
import type { RecordTable } from './record-table.ts';
import { verifySignature } from './signature.ts';
import { isFutureTid } from './tid.ts';
import { TreeWalk, WholeTree } from './tree-walk.ts';

/** How much is done between two turns of the event loop: a few milliseconds. */
const STEP_BYTES = 1 << 20;
const STEP_ENTRIES = 4096;
const DIGEST_AT = 4;
const cidScratch = Buffer.from(`01711220${'00'.repeat(32)}`, 'hex');

/** Walks that have ended, for the next repos. */
const walks: TreeWalk[] = [];

export interface OpenRepoOptions {
  /** The account that it should be; another one is refused (`wrong-did`). */
  did?: string;
  /** did:key that the commit should be signed with (`bad-signature`). Without it call `verify`. */
  key?: string;
  /** Refuse a CAR of more bytes. Default 2 GiB; never more than 4 GiB. */
  maxBytes?: number;
  /** From how many bytes on the CAR is kept in a file instead of memory. Default 32 MiB. */
  spoolAboveBytes?: number;
  /** Folder of that file, which has no name while it is in use. Required for CARs that large. */
  tmpDir: string;
  /** The present time in ms, against which the rev is held. Default: the clock. */
  now?: number;
  signal?: AbortSignal;
}

/**
 * Reads a whole repo from the bytes of its CAR and verifies it: every block's
 * hash, the commit, the whole tree, the presence of every record. What it
 * returns is consistent; only the contents of single records can still be
 * refused, one by one, by their `json()`.
 *
 * Stops reading the source at the first error. Errors of the source and of
 * the disk come through as they are.
 *
 * @throws RepoError
 */
export async function openRepo(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: OpenRepoOptions,
): Promise<RepoSnapshot> {
  const car = new CarReader({ maxBytes: options.maxBytes ?? 2 ** 31 });
  try {
    await readAll(car, source, options);
    const commit = readCommitBlock(car);
    if (options.did !== undefined && commit.did !== options.did) {
      throw new RepoError('wrong-did', `the repo is of ${commit.did}, not of ${options.did}`);
    }
    // As the floor of the repo it would hide every commit until then.
    if (isFutureTid(commit.rev, options.now))
      throw new RepoError('future-rev', `the rev ${commit.rev} is ahead`);
    if (options.key !== undefined && !verifySignature(options.key, commit.unsigned, commit.sig)) {
      throw new RepoError('bad-signature', `the commit of ${commit.did} is not signed with its key`);
    }
    const tree = new WholeTree(car.index);
    const walk = (walks.pop() ?? new TreeWalk()).begin(car.index, car.store, commit.data, tree);
    while (!walk.step(STEP_ENTRIES)) await breathe(options.signal);
    walk.end();
    // One that has seen a large repo may hold large buffers.
    if (car.total <= STEP_BYTES) walks.push(walk);
    car.index.freeze();
    return new RepoSnapshot(car, commit, tree.table);
  } catch (error) {
    await car.store.dispose();
    throw error;
  }
}

async function readAll(
  car: CarReader,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { spoolAboveBytes = 32 << 20, tmpDir, signal }: OpenRepoOptions,
): Promise<void> {
  const chunks = new Chunks(source, signal);
  try {
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) {
      const chunk = next.value;
      for (let at = 0; at < chunk.length; at += STEP_BYTES) {
        if (at > 0) await breathe(signal);
        car.push(at === 0 && chunk.length <= STEP_BYTES ? chunk : chunk.subarray(at, at + STEP_BYTES));
        if (car.total > spoolAboveBytes) await car.store.spool(tmpDir);
      }
    }
  } finally {
    chunks.end();
  }
  car.finish();
  await car.store.finish();
}

/**
 * The source's chunks, until the signal: also while a chunk does not come. Each wait has a promise of its own: one
 * that all of them share, as in Promise.race, would keep every chunk that it was raced with.
 */
class Chunks {
  readonly #chunks: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  readonly #signal: AbortSignal | undefined;
  #stop: (reason: unknown) => void = () => {};
  readonly #abort = () => this.#stop(this.#signal?.reason);

  constructor(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, signal: AbortSignal | undefined) {
    this.#chunks =
      Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
    this.#signal = signal;
    signal?.addEventListener('abort', this.#abort, { once: true });
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    return new Promise((resolve, reject) => {
      this.#signal?.throwIfAborted();
      this.#stop = reject;
      Promise.resolve(this.#chunks.next()).then(resolve, reject);
    });
  }

  end(): void {
    this.#signal?.removeEventListener('abort', this.#abort);
    // Not awaited: a generator that hangs would not answer.
    Promise.resolve(this.#chunks.return?.()).catch(() => {});
  }
}

async function breathe(signal?: AbortSignal): Promise<void> {
  await setImmediate();
  signal?.throwIfAborted();
}

function readCommitBlock(car: CarReader): Commit {
  const block = car.index.find(car.root.bytes, DIGEST_AT);
  if (block < 0) throw new RepoError('missing-block', 'the CAR lacks the block of its root');
  const length = car.index.length(block);
  const bytes = car.store.read(car.index.position(block), length);
  const at = car.store.offset;
  // A copy: the commit outlives what the store does with its buffers.
  return decodeCommit(Buffer.from(bytes.subarray(at, at + length)));
}

/** A verified repo. Dispose of it when done: a large one holds a file open. */
export class RepoSnapshot implements AsyncDisposable {
  readonly did: string;
  readonly rev: string;
  /** CID of the signed commit. */
  readonly commit: string;
  /** CID of the root of the tree. */
  readonly data: string;
  /** Number of records. */
  readonly count: number;
  /** Bytes of the CAR. */
  readonly bytes: number;
  #commit: Commit;
  #table: RecordTable;
  #source: RecordSource;

  constructor(car: CarReader, commit: Commit, table: RecordTable) {
    this.did = commit.did;
    this.rev = commit.rev;
    this.commit = cidText(car.root.bytes);
    this.data = cidText(commit.data.bytes);
    this.count = table.count;
    this.bytes = car.total;
    this.#commit = commit;
    this.#table = table;
    this.#source = { index: car.index, store: car.store };
  }

  /** Whether the commit is signed with this did:key. Throws RepoError `bad-key`. */
  verify(key: string): boolean {
    return verifySignature(key, this.#commit.unsigned, this.#commit.sig);
  }

  /** The collections in order, with their numbers of records. */
  collections(): { collection: string; count: number }[] {
    const runs = this.#table.collections;
    return runs.map(({ name, from }, i) => ({
      collection: name,
      count: (runs[i + 1]?.from ?? this.count) - from,
    }));
  }

  /** All records, sorted by the bytes of their paths. May be called again. */
  *records(): Generator<RepoRecord, void, undefined> {
    const table = this.#table;
    for (let run = 0; run < table.collections.length; run++) {
      const { name, from } = table.collections[run]!;
      const to = table.collections[run + 1]?.from ?? table.count;
      for (let n = from; n < to; n++) {
        yield new RepoRecord(this.#source, table, name, n);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#source.store.dispose();
  }
}

interface RecordSource {
  index: BlockIndex;
  store: BlockStore;
}

/** One record of a snapshot. Its block is read when it is asked for. */
export class RepoRecord {
  readonly collection: string;
  #source: RecordSource;
  #table: RecordTable;
  /** Its number in the table. */
  #n: number;
  #block: number;

  constructor(source: RecordSource, table: RecordTable, collection: string, n: number) {
    this.#source = source;
    this.#table = table;
    this.collection = collection;
    this.#n = n;
    this.#block = table.block(n);
  }

  get rkey(): string {
    return this.#table.rkey(this.#n);
  }

  get path(): string {
    return `${this.collection}/${this.rkey}`;
  }

  get cid(): string {
    this.#source.index.copyDigest(this.#block, cidScratch, DIGEST_AT);
    return cidText(cidScratch);
  }

  /** Length of the record's CBOR in bytes. */
  get size(): number {
    return this.#source.index.length(this.#block);
  }

  /** The record's CBOR, not to be written to. */
  bytes(): Buffer {
    const { index, store } = this.#source;
    const length = index.length(this.#block);
    const buffer = store.read(index.position(this.#block), length, Buffer.allocUnsafe(length));
    return buffer.subarray(store.offset, store.offset + length);
  }

  /**
   * The record as lexicon JSON text.
   *
   * @throws RepoError `bad-cbor`, `bad-record`, `too-large`: this record alone is bad, its neighbours are not
   */
  json(): string {
    const { index, store } = this.#source;
    const length = index.length(this.#block);
    const buffer = store.read(index.position(this.#block), length);
    return recordToJson(buffer, store.offset, store.offset + length);
  }

  /**
   * Appends the record as lexicon JSON to bytes in the making, which saves
   * the text in between. Where it throws, nothing is appended.
   *
   * @throws RepoError as `json`
   */
  writeJson(to: JsonBytes): void {
    const { index, store } = this.#source;
    const length = index.length(this.#block);
    const buffer = store.read(index.position(this.#block), length);
    appendRecord(to, buffer, store.offset, store.offset + length);
  }

  /** Appends the record key, which has nothing to be escaped. */
  writeRkey(to: JsonBytes): void {
    this.#table.writeRkey(this.#n, to);
  }

  /** Appends the text of the record's CID. */
  writeCid(to: JsonBytes): void {
    this.#source.index.copyDigest(this.#block, cidScratch, DIGEST_AT);
    to.cid(cidScratch, 0);
  }
}
