import { normalizeDatetimeAlways } from '@atproto/syntax';

/** Month and day, as a regular expression has them: the 29th of February is left to the full check. */
export const monthAndDay =
  '(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))';
export const timeOfDay = '(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d';

/** What normalising gives back as it is. */
const normal = new RegExp(`^\\d{4}-${monthAndDay}T${timeOfDay}\\.\\d{3}Z$`);

/**
 * A `createdAt` as the AppView stores it: UTC, milliseconds, `Z`. A time without zone is UTC; what is no time at
 * all, or outside the years 0 to 9999, is 1970.
 */
export function normalizeDate(text: string): string {
  return normal.test(text) ? text : normalizeDatetimeAlways(text);
}

/** The earlier of two normalised times. */
export function earlier(a: string, b: string): string {
  return a < b ? a : b;
}

/**
 * An event's `time` as `indexedAt`. A sender's clock that is ahead by more than a few minutes, or unreadable, must
 * not reach rows that are sorted by it.
 */
export function indexedAt(time: string, now: number): string {
  // All events of a fetch say the same.
  if (time === known.time && now === known.now) return known.at;
  const ms = Date.parse(time);
  const latest = now + 5 * 60_000;
  const at = new Date(Number.isNaN(ms) || ms < 0 ? now : Math.min(ms, latest)).toISOString();
  known = { time, now, at };
  return at;
}

let known = { time: '', now: -1, at: '' };
