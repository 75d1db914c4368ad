/** Repos of a simulated network, and the stream entries that the backfiller makes of them. */
import { hash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { openRepo, type RepoRecord, type RepoSnapshot } from '@headwater/repo';
import type { NewFields, ReadFields } from '@headwater/streams';
import { CID } from 'multiformats/cid';
import { create as digest } from 'multiformats/hashes/digest';
import { compare, type Row, type SnapshotRecord } from '../../services/repo-backfiller/src/compare.ts';
import { Parts, partLimits } from '../../services/repo-backfiller/src/parts.ts';
import { Network } from '../simulator/index.ts';

export interface BenchRepo {
  did: string;
  rev: string;
  /** CID of the signed commit. */
  commit: string;
  data: string;
  car: Buffer;
  records: number;
}

const RECORDS_A_REPO = 250;
/** When the repos were fetched. */
const TIME = '2026-06-01T00:00:00.000Z';

/** Repos with about so many records in all: half likes, the rest follows, posts, reposts and a little of everything. */
export async function makeRepos(records: number): Promise<BenchRepo[]> {
  const repos = Math.max(8, Math.ceil(records / RECORDS_A_REPO));
  await using network = new Network({
    seed: 5,
    repos,
    recordsPerRepo: Math.ceil(records / repos),
    inactive: 0,
  });
  const made: BenchRepo[] = [];
  for (const account of network.world.accounts) {
    const car = account.repo.car();
    await using snapshot = await open(car);
    const { did, rev, commit, data, count } = snapshot;
    made.push({ did, rev, commit, data, car, records: count });
  }
  return made;
}

/** The verified repo, as the backfiller reads it. */
export function open(car: Buffer): Promise<RepoSnapshot> {
  return openRepo([car], { tmpDir: tmpdir() });
}

export const totalOf = (repos: readonly BenchRepo[]) => repos.reduce((sum, repo) => sum + repo.records, 0);

/**
 * What the backfiller sends of a repo whose rows are these.
 *
 * @param options.alter what stands in place of a record; null leaves it out
 */
export async function entriesOf(
  snapshot: RepoSnapshot,
  fetch: string,
  options: {
    rows?: AsyncIterable<readonly Row[]> | undefined;
    rev?: string;
    alter?: (record: RepoRecord, index: number) => SnapshotRecord | null;
  } = {},
): Promise<ReadFields[]> {
  const { did, commit, data } = snapshot;
  const { rev = snapshot.rev, rows, alter } = options;
  const sent: ReadFields[] = [];
  const parts = new Parts({
    repo: { did, rev, commit, data, fetch, time: TIME },
    limits: partLimits,
    send: async (entries) => {
      sent.push(...entries.map(asRead));
    },
    onUnusable: (path, error) => {
      throw new Error(`${did} ${path}`, { cause: error });
    },
  });
  const records = alter ? altered(snapshot.records(), alter) : snapshot.records();
  await compare({ records, rows, rev, wanted: () => true, to: parts });
  await parts.finish();
  return sent;
}

/** As it is read from Redis. */
const asRead = (fields: NewFields): ReadFields =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, Buffer.from(value)]));

function* altered(
  records: Iterable<RepoRecord>,
  alter: (record: RepoRecord, index: number) => SnapshotRecord | null,
): Generator<SnapshotRecord> {
  let index = 0;
  for (const record of records) {
    const made = alter(record, index++);
    if (made !== null) yield made;
  }
}

/** Every second record, as it stood before it was changed: the half that a later fetch finds. */
export function everySecondEarlier(record: RepoRecord, index: number): SnapshotRecord | null {
  if (index % 2 === 1) return null;
  const { path, collection } = record;
  const json = `${record.json().slice(0, -1)},"before":true}`;
  const cid = cidOf(json);
  const writeRkey = record.writeRkey.bind(record);
  return {
    path,
    collection,
    cid,
    writeRkey,
    writeCid: (to) => to.ascii(cid),
    writeJson: (to) => to.utf8(json),
  };
}

/** A rev long before any of this. */
export function earlier(rev: string): string {
  return `2${rev.slice(1)}`;
}

function cidOf(text: string): string {
  return CID.createV1(0x71, digest(0x12, new Uint8Array(hash('sha256', text, 'buffer')))).toString();
}
