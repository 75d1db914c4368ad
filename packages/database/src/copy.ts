import type { Client } from './pool.ts';

/** A value of a row: JSON columns as text. */
export type Value = string | number | boolean | null;
export type Row = readonly Value[];

/** Column separator, row separator, escape character, and NUL, which PostgreSQL can't store in text. */
const special = /[\\\n\r\t\0]/;
const specials = /[\\\n\r\t\0]/g;

const escapes: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t', '\0': '' };

/**
 * One row in COPY's text format, line feed included. NULL is `\N`, which no text can become because its backslash
 * is doubled. NUL is left out; a lone surrogate becomes U+FFFD when the text is turned into UTF-8.
 */
export function encodeRow(row: Row): string {
  let line = '';
  for (let i = 0; i < row.length; i++) {
    if (i > 0) line += '\t';
    const value = row[i]!;
    if (typeof value === 'string') {
      line += special.test(value) ? value.replace(specials, (c) => escapes[c]!) : value;
    } else if (value === null) line += '\\N';
    else line += value === true ? 't' : value === false ? 'f' : value;
  }
  return `${line}\n`;
}

/** Characters to a chunk: large enough that a message costs nothing, small enough to be garbage soon. */
const chunkLength = 256 * 1024;

function* chunks(rows: readonly Row[]): Generator<Buffer> {
  let text = '';
  for (const row of rows) {
    text += encodeRow(row);
    if (text.length >= chunkLength) {
      yield Buffer.from(text);
      text = '';
    }
  }
  if (text.length > 0) yield Buffer.from(text);
}

/**
 * Writes rows by COPY FROM STDIN.
 *
 * @param columns the columns in the order of the rows' values
 */
export function copyInto(
  client: Client,
  table: string,
  columns: readonly string[],
  rows: readonly Row[],
): Promise<void> {
  if (rows.length === 0) return Promise.resolve();
  const text = `COPY ${table} (${columns.map((c) => `"${c}"`).join(',')}) FROM STDIN`;
  return new Promise((resolve, reject) => {
    const query = new CopyIn(text, rows, (err) => (err ? reject(err) : resolve()));
    client.query(query as never);
  });
}

interface CopyConnection {
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
  sendCopyFail(message: string): void;
  stream: { cork?(): void; uncork?(): void };
}

/**
 * COPY FROM STDIN as pg's client runs a query of one's own. All data is at hand, so it is sent at once: no stream,
 * no turn of the event loop for each chunk.
 */
class CopyIn {
  text: string;
  rows: readonly Row[];
  callback: (err?: Error | null) => void;

  constructor(text: string, rows: readonly Row[], callback: (err?: Error | null) => void) {
    this.text = text;
    this.rows = rows;
    this.callback = callback;
  }

  submit(connection: CopyConnection): null {
    connection.query(this.text);
    return null;
  }

  handleCopyInResponse(connection: CopyConnection): void {
    connection.stream.cork?.();
    try {
      for (const chunk of chunks(this.rows)) connection.sendCopyFromChunk(chunk);
      connection.endCopyFrom();
    } catch (err) {
      connection.sendCopyFail((err as Error).message);
    } finally {
      connection.stream.uncork?.();
    }
  }

  handleError(err: Error): void {
    this.callback(err);
  }

  handleReadyForQuery(): void {
    this.callback(null);
  }

  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}
}
