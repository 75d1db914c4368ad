/** Bulk mode can't do what it was asked for, or stands against it; the message says why and what to do. */
export class BulkError extends Error {
  override name = 'BulkError';
}
