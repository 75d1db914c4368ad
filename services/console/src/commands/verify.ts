import { tmpdir } from 'node:os';
import { collectionFilter } from '@headwater/events';
import { createIdentity, IdentityError, type IdentityResolver } from '@headwater/identity';
import { Metrics } from '@headwater/ops';
import { openRepo, RepoError } from '@headwater/repo';
import { getRepoStream, XrpcClient, XrpcError } from '@headwater/xrpc';
import type { Command } from 'commander';
import { compareRows, type Difference, type Row } from '../compare.ts';
import { CommandError } from '../errors.ts';
import { type ConsoleSettings, type Sql, withRedis, withSql } from '../open.ts';
import { table } from '../table.ts';

interface Options {
  did: string[];
  json?: boolean;
}

export interface Verdict {
  did: string;
  rev?: string;
  equal?: number;
  newer?: number;
  differences?: Difference[];
  problem?: string;
}

/** `headwater verify`: an account's PDS against our rows, record by record. */
export function addVerify(program: Command): void {
  program
    .command('verify')
    .description("compare accounts' repos on their PDS with the rows; exits 1 when one differs")
    .requiredOption('--did <did...>', 'accounts to compare')
    .option('--json', 'JSON lines, with every difference')
    .action(verify);
}

async function verify({ did: dids, json }: Options): Promise<void> {
  const verdicts: Verdict[] = [];
  await withRedis((redis, settings) =>
    withSql(settings, async (sql) => {
      await using client = new XrpcClient(settings);
      const metrics = new Metrics('console');
      const { identities } = createIdentity({ client, store: redis, metrics, settings });
      for (const did of dids) verdicts.push(await verdictOf(did, { client, identities, sql, settings }));
    }),
  );
  if (json) for (const verdict of verdicts) console.log(JSON.stringify(verdict));
  else console.log(render(verdicts));
  const wrong = verdicts.filter((v) => v.problem !== undefined || (v.differences?.length ?? 0) > 0);
  if (wrong.length > 0) {
    const again = wrong.map((v) => v.did).join(' ');
    throw new CommandError(
      `${wrong.length} of ${dids.length} differ. Fetch again: headwater backfill --force --did ${again}`,
    );
  }
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

function render(verdicts: Verdict[]): string {
  const count = (v: Verdict, kind: Difference['kind']) =>
    v.differences ? v.differences.filter((d) => d.kind === kind).length : null;
  const rows = verdicts.map((v) => [
    v.did,
    v.rev ?? '–',
    v.equal ?? null,
    count(v, 'missing'),
    count(v, 'extra'),
    count(v, 'differs'),
    v.newer ?? null,
    v.problem ?? (v.differences!.length === 0 ? 'equal' : 'differs'),
  ]);
  return table(['did', 'rev', 'equal', 'missing', 'extra', 'differ', 'newer', 'verdict'], rows);
}
