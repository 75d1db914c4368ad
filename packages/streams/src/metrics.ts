/** Why a producer waits. */
export type Pressure = 'entries' | 'bytes' | 'memory' | 'unavailable';

/** How an entry left a consumer's hands. */
export type Ending = 'written' | 'dropped' | 'later' | 'dead' | 'lost' | 'returned';

/** What happens on a stream, for whoever counts it. All methods must be cheap and never throw. */
export interface StreamMetrics {
  /** Entries were written to the stream. */
  appended(stream: string, entries: number, bytes: number): void;
  /** A producer begins to wait, waits for something else now, or (undefined) waits no longer. */
  pressed(stream: string, pressure: Pressure | undefined): void;
  /** A producer waited `seconds` in all before it could write. */
  waited(stream: string, pressure: Pressure, seconds: number): void;
  /** Entries were read, for the first time or from another consumer. */
  read(stream: string, from: 'new' | 'claimed', entries: number, bytes: number): void;
  /** A write ended. */
  wrote(stream: string, outcome: 'ok' | 'transient' | 'failed', entries: number, seconds: number): void;
  /** A try at an entry failed; it is tried again or goes to the dead letters. */
  failed(stream: string): void;
  /** Entries left this consumer. `reason` is one of a small set. */
  ended(stream: string, ending: Ending, reason: string, entries: number): void;
  /** Entries and bytes in this consumer's hands now. */
  inHand(stream: string, entries: number, bytes: number): void;
}

export const noMetrics: StreamMetrics = {
  appended() {},
  pressed() {},
  waited() {},
  read() {},
  wrote() {},
  failed() {},
  ended() {},
  inHand() {},
};
