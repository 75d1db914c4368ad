/** The fields of one stream entry. */
export type Fields = Record<string, string>;

/** What this package needs of a logger; pino's fits. */
export interface Log {
  debug(data: object, message: string): void;
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
  error(data: object, message: string): void;
}

export const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
