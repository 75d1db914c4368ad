import pg from 'pg';
import { CopyData } from './copy-data.ts';
import type { PackedRow } from './packed-rows.ts';
import type { Client } from './pool.ts';
import { columnsOf } from './tables.ts';

/** Writes rows by COPY FROM STDIN, each list of them to its table, all in one go: nothing waits for an answer but the end. */
export function copyInto(client: Client, ...lists: readonly (readonly PackedRow[])[]): Promise<void> {
  const filled = lists.filter((rows) => rows.length > 0);
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

// pg pipelines no query but its own kind: one that answers by rows kept for later would mix up the others'. This does not.
const Query = pg.Query as unknown as new (text: string) => object;

/**
 * Any number of COPY FROM STDIN as pg's client runs a query of one's own. The statements are sent as one query, and the
 * rows of all of them after it: the server takes them up as it comes to each. What is left when one fails it ignores.
 */
class CopyIn extends Query {
  text: string;
  callback: (err?: Error | null) => void;
  #data = new CopyData();
  #failed = false;

  constructor(lists: readonly (readonly PackedRow[])[], callback: (err?: Error | null) => void) {
    const text = lists.map((rows) => statement(rows[0]!)).join(';');
    super(text);
    this.text = text;
    this.callback = callback;
    for (const rows of lists) this.#data.add(rows);
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

function statement({ table }: PackedRow): string {
  const columns = columnsOf(table).columns.map((column) => `"${column}"`);
  return `COPY "${table}" (${columns.join(',')}) FROM STDIN (FORMAT binary)`;
}
