import { CopyData, type Row } from './copy-data.ts';
import type { Client } from './pool.ts';

export type { Row, Value } from './copy-data.ts';

/** Rows for one table. */
export interface Copy {
  /** Quoted where it needs it. */
  table: string;
  /** In the order of the rows' values. */
  columns: readonly string[];
  rows: readonly Row[];
  /** Those of type jsonb; the others are texts. */
  jsonb?: readonly string[];
}

/** Writes rows by COPY FROM STDIN, to all tables in one go: nothing waits for an answer but the end. */
export function copyInto(client: Client, ...copies: readonly Copy[]): Promise<void> {
  const filled = copies.filter(({ rows }) => rows.length > 0);
  if (filled.length === 0) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const query = new CopyIn(filled, (err) => (err ? reject(err) : resolve()));
    client.query(query as never);
  });
}

interface CopyConnection {
  query(text: string): void;
  stream: { cork(): void; uncork(): void; write(bytes: Buffer): void };
}

/**
 * Any number of COPY FROM STDIN as pg's client runs a query of one's own. The statements are sent as one query, and the
 * rows of all of them after it: the server takes them up as it comes to each. What is left when one fails it ignores.
 */
class CopyIn {
  text: string;
  callback: (err?: Error | null) => void;
  #data = new CopyData();
  #failed = false;

  constructor(copies: readonly Copy[], callback: (err?: Error | null) => void) {
    const list = (columns: readonly string[]) => columns.map((c) => `"${c}"`).join(',');
    this.text = copies
      .map((c) => `COPY ${c.table} (${list(c.columns)}) FROM STDIN (FORMAT binary)`)
      .join(';');
    this.callback = callback;
    for (const { rows, columns, jsonb } of copies) {
      this.#data.add(rows, jsonb && columns.map((column) => jsonb.includes(column)));
    }
    this.#data.end();
  }

  submit(connection: CopyConnection): null {
    const { stream } = connection;
    stream.cork();
    connection.query(this.text);
    for (const part of this.#data.parts) stream.write(part);
    stream.uncork();
    return null;
  }

  handleError(err: Error): void {
    // What was not sent yet may still be: its bytes are not to be written over.
    this.#failed = true;
    this.callback(err);
  }

  handleReadyForQuery(): void {
    if (this.#failed) return;
    this.#data.free();
    this.callback(null);
  }

  handleCopyInResponse(): void {}
  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}
}
