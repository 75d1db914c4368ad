import { isDeepStrictEqual } from 'node:util';
import type postgres from 'postgres';

/** One collection on both sides, over the repos compared. */
export interface CollectionCount {
  collection: string;
  pds: number;
  postgres: number;
  /** Records of the PDS that PostgreSQL lacks, rows that the PDS lacks, rows with another CID or content. */
  missing: number;
  extra: number;
  different: number;
}

export interface RepoSource {
  did: string;
  /** Base URL of the PDS. */
  pds: string;
}

interface RecordState {
  cid: string;
  value: unknown;
}

/**
 * Compares repos record by record: what the PDS answers to listRecords with the
 * rows of `record`. It shares no code with the pipeline.
 *
 * @param wanted whether a collection is indexed at all
 */
export async function compareRepos(
  sql: postgres.Sql,
  schema: string,
  repos: RepoSource[],
  wanted: (collection: string) => boolean,
): Promise<CollectionCount[]> {
  const counts = new Map<string, CollectionCount>();
  for (const repo of repos) {
    const [theirs, ours] = await Promise.all([
      recordsOfPds(repo, wanted),
      recordsOfRows(sql, schema, repo.did),
    ]);
    compareRecords(theirs, ours, counts);
  }
  return [...counts.values()].sort((a, b) => (a.collection < b.collection ? -1 : 1));
}

export function isEqual(count: CollectionCount): boolean {
  return count.missing + count.extra + count.different === 0;
}

function compareRecords(
  theirs: Map<string, RecordState>,
  ours: Map<string, RecordState>,
  counts: Map<string, CollectionCount>,
): void {
  const of = (uri: string) => {
    const collection = uri.split('/')[3]!;
    const empty = { collection, pds: 0, postgres: 0, missing: 0, extra: 0, different: 0 };
    return counts.get(collection) ?? counts.set(collection, empty).get(collection)!;
  };
  for (const [uri, record] of theirs) {
    const row = ours.get(uri);
    of(uri).pds++;
    if (row === undefined) of(uri).missing++;
    else if (row.cid !== record.cid || !isDeepStrictEqual(row.value, record.value)) of(uri).different++;
  }
  for (const uri of ours.keys()) {
    of(uri).postgres++;
    if (!theirs.has(uri)) of(uri).extra++;
  }
}

async function recordsOfPds({ did, pds }: RepoSource, wanted: (collection: string) => boolean) {
  const records = new Map<string, RecordState>();
  const { collections } = await call<{ collections: string[] }>(pds, 'com.atproto.repo.describeRepo', {
    repo: did,
  });
  for (const collection of collections.filter(wanted)) {
    let cursor: string | undefined;
    do {
      const query = { repo: did, collection, limit: '100', ...(cursor === undefined ? {} : { cursor }) };
      const page = await call<{ cursor?: string; records: ({ uri: string } & RecordState)[] }>(
        pds,
        'com.atproto.repo.listRecords',
        query,
      );
      for (const { uri, cid, value } of page.records) records.set(uri, { cid, value });
      cursor = page.records.length === 0 ? undefined : page.cursor;
    } while (cursor !== undefined);
  }
  return records;
}

async function recordsOfRows(sql: postgres.Sql, schema: string, did: string) {
  const rows = await sql<{ uri: string; cid: string; json: string }[]>`
    SELECT uri, cid, json FROM ${sql(schema)}.record WHERE did = ${did}`;
  return new Map(rows.map(({ uri, cid, json }) => [uri, { cid, value: JSON.parse(json) }]));
}

/** One query of XRPC. @throws Error with the answer when it is none of success */
export async function call<T>(base: string, nsid: string, query: Record<string, string>): Promise<T> {
  const url = `${base}/xrpc/${nsid}?${new URLSearchParams(query)}`;
  const response = await fetch(url, { signal: AbortSignal.timeout(30_000) });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}
