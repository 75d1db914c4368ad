import type { Row } from './copy.ts';
import type { Client } from './pool.ts';
import { type Counter, cellOf, specOf, type TableName } from './tables.ts';

/** Columns of each table of counts, in the order of its statement's parameters. */
const aggregates = {
  post_agg: { key: 'uri', columns: ['likeCount', 'repostCount', 'replyCount', 'quoteCount'] },
  profile_agg: { key: 'did', columns: ['postsCount', 'followsCount', 'followersCount'] },
} as const;

type Aggregate = keyof typeof aggregates;

/**
 * Changes of counts, gathered over a batch from rows that were really deleted and inserted, then written as one
 * statement for each table. Sorted by key: two batches never wait for each other in a circle.
 */
export class Counts {
  deltas = new Map<Counter, Map<string, number>>();

  /** Adds `by` to one count. */
  add(counter: Counter, key: string, by: number): void {
    const byKey = this.deltas.get(counter) ?? new Map<string, number>();
    this.deltas.set(counter, byKey);
    byKey.set(key, (byKey.get(key) ?? 0) + by);
  }

  /** Rows that were written to `table`. */
  inserted(table: TableName, rows: readonly Row[]): void {
    for (const { counter, key, unless } of specOf(table).counts ?? []) {
      for (const row of rows) {
        if (unless !== undefined && cellOf(table, row, unless) === true) continue;
        const value = cellOf(table, row, key);
        if (typeof value === 'string') this.add(counter, value, 1);
      }
    }
  }

  /** Rows that a DELETE on `table` returned. */
  deleted(table: TableName, rows: readonly Record<string, unknown>[]): void {
    for (const { counter, key, unless } of specOf(table).counts ?? []) {
      for (const row of rows) {
        if (unless !== undefined && row[unless] === true) continue;
        const value = row[key];
        if (typeof value === 'string') this.add(counter, value, -1);
      }
    }
  }

  /** How many counts change, by count. */
  get changes(): Map<Counter, number> {
    const entries = [...this.deltas].map(([counter, byKey]) => {
      return [counter, [...byKey.values()].filter((by) => by !== 0).length] as const;
    });
    return new Map(entries);
  }

  merge(other: Counts): void {
    for (const [counter, byKey] of other.deltas) {
      for (const [key, by] of byKey) this.add(counter, key, by);
    }
  }

  /** Writes the changes. The last statement of a transaction: popular rows stay locked as briefly as can be. */
  async write(client: Client): Promise<void> {
    await this.writeTo(client, 'post_agg');
    await this.writeTo(client, 'profile_agg');
  }

  private async writeTo(client: Client, table: Aggregate): Promise<void> {
    const { columns } = aggregates[table];
    const byColumn = columns.map((column) => this.deltas.get(`${table}.${column}` as Counter));
    const keys = new Set<string>();
    for (const byKey of byColumn) {
      for (const [key, by] of byKey ?? []) if (by !== 0) keys.add(key);
    }
    if (keys.size === 0) return;
    const sorted = [...keys].sort();
    const values = byColumn.map((byKey) => sorted.map((key) => byKey?.get(key) ?? 0));
    await client.query({ name: `count ${table}`, text: statements[table], values: [sorted, ...values] });
  }
}

function statement(table: Aggregate): string {
  const { key, columns } = aggregates[table];
  const quoted = columns.map((c) => `"${c}"`);
  const arrays = columns.map((_, i) => `$${i + 2}::bigint[]`).join(', ');
  const sums = quoted.map((c) => `${c} = ${table}.${c} + excluded.${c}`).join(', ');
  return `INSERT INTO ${table} (${key}, ${quoted.join(', ')}) SELECT * FROM unnest($1::text[], ${arrays})
    ON CONFLICT (${key}) DO UPDATE SET ${sums}`;
}

const statements = { post_agg: statement('post_agg'), profile_agg: statement('profile_agg') };
