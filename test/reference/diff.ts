import { type Tables, text } from './tables.ts';

export interface Difference {
  table: string;
  key: string;
  /** The row as the reference has it; absent where the reference has none. */
  expected?: Record<string, unknown>;
  actual?: Record<string, unknown>;
}

/** Every row in which `actual` differs from `expected`. */
export function diffTables(expected: Tables, actual: Tables): Difference[] {
  const found: Difference[] = [];
  for (const [table, rows] of expected) {
    const others = actual.get(table) ?? new Map();
    for (const key of new Set([...rows.keys(), ...others.keys()])) {
      const [a, b] = [rows.get(key), others.get(key)];
      if (!a || !b || text(a) !== text(b)) found.push({ table, key, expected: a, actual: b });
    }
  }
  return found;
}

/** The differences for a human: a line of counts, then the first `limit` of each table, column by column. */
export function formatDiff(differences: readonly Difference[], limit = 5): string {
  const byTable = Map.groupBy(differences, (d) => d.table);
  const lines = [[...byTable].map(([table, list]) => `${table}: ${list.length}`).join(', ')];
  for (const [table, list] of byTable) {
    for (const d of list.slice(0, limit)) lines.push(`  ${table} ${d.key}: ${describe(d)}`);
    if (list.length > limit) lines.push(`  ${table} … and ${list.length - limit} more`);
  }
  return lines.join('\n');
}

function describe({ expected, actual }: Difference): string {
  if (!expected) return `not expected: ${text(actual!)}`;
  if (!actual) return `missing: ${text(expected)}`;
  const columns = [...new Set([...Object.keys(expected), ...Object.keys(actual)])];
  const differing = columns.filter((c) => JSON.stringify(expected[c]) !== JSON.stringify(actual[c]));
  return differing
    .map((c) => `${c} should be ${JSON.stringify(expected[c])}, is ${JSON.stringify(actual[c])}`)
    .join('; ');
}
