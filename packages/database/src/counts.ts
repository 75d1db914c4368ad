import { holdBulkState } from './bulk/state.ts';
import { cellOf, type PackedRow } from './packed-rows.ts';
import type { Client } from './pool.ts';
import { type Counter, specOf, type TableName } from './tables.ts';
import { together } from './together.ts';

/** Columns of each table of counts, in the order of its statement's parameters. */
const aggregates = {
  post_agg: { key: 'uri', columns: ['likeCount', 'repostCount', 'replyCount', 'quoteCount'] },
  profile_agg: { key: 'did', columns: ['postsCount', 'followsCount', 'followersCount'] },
} as const;

export type Aggregate = keyof typeof aggregates;

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
  inserted(table: TableName, rows: readonly PackedRow[]): void {
    // What takes a row out of a count comes later, by those who judge it.
    for (const { counter, key } of specOf(table).counts ?? []) {
      for (const row of rows) {
        const value = cellOf(row, key);
        if (value !== null) this.add(counter, value, 1);
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

  /**
   * Writes the changes. The last statements of a transaction: popular rows stay locked as briefly as can be. In bulk
   * mode they are left out, since everything is counted at its end; while that happens they are noted.
   */
  async write(client: Client): Promise<void> {
    if (this.deltas.size === 0) return;
    const state = await holdBulkState(client);
    if (state === 'loading') return;
    const texts = state === 'finishing' ? notes : statements;
    await together(this.writeTo(client, 'post_agg', texts), this.writeTo(client, 'profile_agg', texts));
  }

  private async writeTo(client: Client, table: Aggregate, texts: typeof statements): Promise<void> {
    const { columns } = aggregates[table];
    const byColumn = columns.map((column) => this.deltas.get(`${table}.${column}` as Counter));
    const keys = new Set<string>();
    for (const byKey of byColumn) {
      for (const [key, by] of byKey ?? []) if (by !== 0) keys.add(key);
    }
    if (keys.size === 0) return;
    const sorted = [...keys].sort();
    const values = byColumn.map((byKey) => sorted.map((key) => byKey?.get(key) ?? 0));
    await client.query({ ...texts[table], values: [sorted, ...values] });
  }
}

interface Statement {
  name: string;
  text: string;
}

function statement(table: Aggregate): Statement {
  const { columns } = aggregates[table];
  const arrays = columns.map((_, i) => `$${i + 2}::bigint[]`).join(', ');
  return { name: `count ${table}`, text: adding(table, `SELECT * FROM unnest($1::text[], ${arrays})`) };
}

/** Adds the changes that a query has, by key. */
function adding(table: Aggregate, query: string): string {
  const { key, columns } = aggregates[table];
  const quoted = columns.map((c) => `"${c}"`);
  const sums = quoted.map((c) => `${c} = ${table}.${c} + excluded.${c}`).join(', ');
  return `INSERT INTO ${table} (${key}, ${quoted.join(', ')}) ${query} ON CONFLICT (${key}) DO UPDATE SET ${sums}`;
}

function note(table: Aggregate): Statement {
  const names = aggregates[table].columns.map((_, i) => `c${i}`).join(', ');
  const arrays = aggregates[table].columns.map((_, i) => `$${i + 2}::bigint[]`).join(', ');
  return {
    name: `note ${table}`,
    text: `INSERT INTO headwater.count_change (of, key, changes)
      SELECT '${table}', key, ARRAY[${names}] FROM unnest($1::text[], ${arrays}) AS u(key, ${names})`,
  };
}

const statements = { post_agg: statement('post_agg'), profile_agg: statement('profile_agg') };
const notes = { post_agg: note('post_agg'), profile_agg: note('profile_agg') };

/**
 * Adds the oldest of the changes that were noted to the counts, each of them once.
 *
 * @returns how many are left to be added at least: 0 when there were fewer than `limit`
 */
export async function addNoted(client: Client, limit: number): Promise<number> {
  let left = 0;
  for (const table of Object.keys(aggregates) as Aggregate[]) {
    const sums = aggregates[table].columns.map((_, i) => `sum(changes[${i + 1}])`).join(', ');
    const { rows } = await client.query<{ n: number }>(`WITH noted AS (
        DELETE FROM headwater.count_change WHERE id IN (
          SELECT id FROM headwater.count_change WHERE of = '${table}' ORDER BY id LIMIT ${limit})
        RETURNING key, changes
      ), added AS (${adding(table, `SELECT key, ${sums} FROM noted GROUP BY key ORDER BY key`)})
      SELECT count(*)::int AS n FROM noted`);
    if (rows[0]!.n === limit) left = limit;
  }
  return left;
}
