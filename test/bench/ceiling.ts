/**
 * The ceiling: what PostgreSQL needs to take the very same rows, if it is
 * given them ready made. One session, server-side COPY from files, the tables
 * with all their indexes.
 */
import { join } from 'node:path';
import type pg from 'pg';
import { onDatabase } from './database.ts';

export interface RowFile {
  /** Quoted, with its schema. */
  table: string;
  /** Quoted. */
  columns: string;
  file: string;
}

interface TableColumns {
  schema: string;
  name: string;
  columns: string[];
}

// Without those that migrations fill.
const listTables = `
  SELECT table_schema AS schema, table_name AS name,
    array_agg(column_name::text ORDER BY ordinal_position) AS columns
  FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
  WHERE table_schema IN ('bsky', 'headwater') AND table_type = 'BASE TABLE' AND is_generated = 'NEVER'
    AND table_name NOT IN ('migration', 'kysely_migration', 'kysely_migration_lock', 'view_param', 'bulk')
  GROUP BY 1, 2 ORDER BY 1, 2`;

/** Writes every table that has rows to a file of the server's, in the order in which they lie there. */
export function dumpRows(url: string, folder: string): Promise<RowFile[]> {
  return onDatabase(url, async (client) => {
    const files: RowFile[] = [];
    for (const { schema, name, columns } of (await client.query<TableColumns>(listTables)).rows) {
      const table = `${client.escapeIdentifier(schema)}.${client.escapeIdentifier(name)}`;
      const list = columns.map((column) => client.escapeIdentifier(column)).join(', ');
      const file = join(folder, `bench-${schema}-${name}.copy`);
      const { rowCount } = await client.query(`COPY ${table} (${list}) TO ${client.escapeLiteral(file)}`);
      if (rowCount! > 0) files.push({ table, columns: list, file });
    }
    return files;
  });
}

/** Fills the empty tables of a database from the files. */
export async function copyRows(client: pg.Client, files: readonly RowFile[]): Promise<void> {
  for (const { table, columns, file } of files) {
    await client.query(`COPY ${table} (${columns}) FROM ${client.escapeLiteral(file)}`);
  }
}
