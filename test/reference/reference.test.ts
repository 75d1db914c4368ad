import { expect, test } from 'vitest';
import { createDatabase } from '../support/index.ts';
import { diffTables, formatDiff } from './diff.ts';
import { generateNetwork } from './network/generate.ts';
import { OfficialIndexer } from './official.ts';
import { inOrder } from './operation.ts';
import { dumpTables } from './tables.ts';

test('the official indexer makes the same tables twice of the same network, and other ones of another', async () => {
  const dump = async (seed: number) => {
    await using database = await createDatabase('template0');
    await using official = await OfficialIndexer.create(database.url);
    const { commits } = generateNetwork({ seed, accounts: 8, operations: 600 });
    for (const commit of commits) await official.know(commit);
    await official.apply(inOrder(commits.flatMap((c) => c.operations)));
    return await dumpTables(database.url, { indexedAt: true });
  };
  const first = await dump(1);
  expect(formatDiff(diffTables(first, await dump(1)))).toBe('');
  expect(diffTables(first, await dump(2)).length).toBeGreaterThan(100);
  for (const [table, rows] of first) expect.soft(rows.size, table).toBeGreaterThan(0);
}, 240_000);
