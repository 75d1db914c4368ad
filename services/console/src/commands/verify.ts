import { createIdentity } from '@headwater/identity';
import { Metrics } from '@headwater/ops';
import { XrpcClient } from '@headwater/xrpc';
import type { Command } from 'commander';
import type { Difference } from '../compare.ts';
import { CommandError } from '../errors.ts';
import { type Sql, withRedis, withSql } from '../open.ts';
import { table } from '../table.ts';
import { type Verdict, verdictOf } from '../verdict.ts';
import { wholeNumber } from '../words.ts';

interface Options {
  did?: string[];
  sample?: number;
  json?: boolean;
}

/** `headwater verify`: an account's PDS against our rows, record by record. */
export function addVerify(program: Command): void {
  program
    .command('verify')
    .description("compare accounts' repos on their PDS with the rows; exits 1 when one differs")
    .option('--did <did...>', 'accounts to compare')
    .option('--sample <n>', 'so many accounts that are complete, chosen by chance', wholeNumber)
    .option('--json', 'JSON lines, with every difference')
    .addHelpText('after', '\nExample:\n  headwater verify --sample 100')
    .action(verify);
}

async function verify({ did = [], sample, json }: Options): Promise<void> {
  if (did.length === 0 && sample === undefined)
    throw new CommandError('say which accounts: --did or --sample');
  const verdicts: Verdict[] = [];
  await withRedis((redis, settings) =>
    withSql(settings, async (sql) => {
      await using client = new XrpcClient(settings);
      const metrics = new Metrics('console');
      const { identities } = createIdentity({ client, store: redis, metrics, settings });
      const dids = [...did, ...(sample === undefined ? [] : await sampled(sql, sample))];
      for (const one of dids) verdicts.push(await verdictOf(one, { client, identities, sql, settings }));
    }),
  );
  if (json) for (const verdict of verdicts) console.log(JSON.stringify(verdict));
  else console.log(render(verdicts));
  const wrong = verdicts.filter((v) => v.problem !== undefined || (v.differences?.length ?? 0) > 0);
  if (wrong.length > 0) {
    const again = wrong.map((v) => v.did).join(' ');
    throw new CommandError(
      `${wrong.length} of ${verdicts.length} differ. Fetch again: headwater backfill --force --did ${again}`,
    );
  }
}

/** Complete repos by chance, of a share of the table's pages. */
async function sampled(sql: Sql, most: number): Promise<string[]> {
  const rows = await sql<{ did: string }[]>`
    SELECT did FROM headwater.repo TABLESAMPLE SYSTEM (least(100, 1 + 100 * ${most}::float8 / greatest(1,
      (SELECT reltuples FROM pg_class WHERE oid = 'headwater.repo'::regclass))))
    WHERE state = 'complete' ORDER BY random() LIMIT ${most}`;
  return rows.map(({ did }) => did);
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
