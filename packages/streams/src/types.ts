/** The fields of one stream entry. */
export type Fields = Record<string, string>;

/** The fields of an entry that was read: bytes as they came. Large texts are then read where they stand, piece by piece. */
export type ReadFields = Record<string, Buffer>;

/** The fields of an entry to be written; bytes are taken as UTF-8, and must stay as they are until then. */
export type NewFields = Record<string, string | Buffer>;

/** What this package needs of a logger; pino's fits. */
export interface Log {
  debug(data: object, message: string): void;
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
  error(data: object, message: string): void;
}

export const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
