/**
 * What is wrong with an installation, found by looking. Owns what counts as
 * wrong and what mends it; changes nothing, so that a crash can't do harm.
 */
export type Level = 'ok' | 'warning' | 'error';

/** What one look came to. Everything but `ok` says what to do. */
export type Finding =
  | { check: string; level: 'ok'; what: string }
  | { check: string; level: Exclude<Level, 'ok'>; what: string; fix: string };

export const ok = (check: string, what: string): Finding => ({ check, level: 'ok', what });

/** It works, but not for long or not as it should. */
export const warning = (check: string, what: string, fix: string): Finding => ({
  check,
  level: 'warning',
  what,
  fix,
});

/** It does not work. */
export const error = (check: string, what: string, fix: string): Finding => ({
  check,
  level: 'error',
  what,
  fix,
});

/** What an error says, and what its causes add. */
export function messageOf(err: unknown): string {
  const { message, code, cause } = err as { message?: string; code?: string; cause?: unknown };
  const own = message || code || String(err);
  const below = cause === undefined ? '' : messageOf(cause);
  return below === '' || own.includes(below) ? own : `${own}: ${below}`;
}
