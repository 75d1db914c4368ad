import { tmpdir } from 'node:os';
import { collectionFilter } from '@headwater/events';
import { IdentityError, type IdentityResolver } from '@headwater/identity';
import { openRepo, RepoError } from '@headwater/repo';
import { getRepoStream, type XrpcClient, XrpcError } from '@headwater/xrpc';
import { compareRows, type Difference, type Row } from './compare.ts';
import type { ConsoleSettings, Sql } from './open.ts';

export interface Verdict {
  did: string;
  rev?: string;
  equal?: number;
  newer?: number;
  differences?: Difference[];
  problem?: string;
}

export interface Parts {
  client: XrpcClient;
  identities: IdentityResolver;
  sql: Sql;
  settings: ConsoleSettings;
}

/** Compares one account's repo on its PDS with our rows. */
export async function verdictOf(did: string, { client, identities, sql, settings }: Parts): Promise<Verdict> {
  try {
    const { pds, signingKey } = await identities.resolveRepo(did);
    const { body } = await getRepoStream(client, pds, did, { trusted: settings.allowPrivateAddresses });
    await using snapshot = await openRepo(body, {
      did,
      key: signingKey,
      maxBytes: 2 ** 32,
      tmpDir: tmpdir(),
    });
    const kept = collectionFilter(settings.collections);
    const records = snapshot.records().filter((record) => kept(record.collection));
    const { rev } = snapshot;
    return { did, rev, ...compareRows(records, await rowsOf(sql, did), rev) };
  } catch (err) {
    if (err instanceof IdentityError || err instanceof RepoError || err instanceof XrpcError) {
      return { did, problem: err.message };
    }
    throw err;
  }
}

function rowsOf(sql: Sql, did: string): Promise<Row[]> {
  const prefix = `at://${did}/`;
  return sql<Row[]>`
    SELECT substr(uri, ${prefix.length + 1}) AS path, cid, rev FROM record
    WHERE uri >= ${prefix} AND uri < ${`at://${did}0`}`;
}
