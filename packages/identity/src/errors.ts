/** Why an identity could not be had. A label of metrics and dead letters. */
export type IdentityReason =
  | 'bad-did'
  | 'not-found'
  | 'tombstoned'
  | 'bad-document'
  | 'no-pds'
  | 'unavailable';

/** A DID or handle without a usable answer. Only `unavailable` is worth another try. */
export class IdentityError extends Error {
  override name = 'IdentityError';
  reason: IdentityReason;
  /** The DID or handle asked for. */
  subject: string;
  /** Of `unavailable`: how long the directory asked us to wait, in ms. */
  retryAfterMs: number | undefined;
  /** Of `unavailable`: the host that did not answer. */
  host: string | undefined;

  constructor(
    reason: IdentityReason,
    subject: string,
    message: string,
    options: ErrorOptions & { retryAfterMs?: number; host?: string } = {},
  ) {
    super(message, options);
    this.reason = reason;
    this.subject = subject;
    this.retryAfterMs = options.retryAfterMs;
    this.host = options.host;
  }
}
