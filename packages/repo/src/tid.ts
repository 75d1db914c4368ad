const ALPHABET = '234567abcdefghijklmnopqrstuvwxyz';
const FORM = /^[234567abcdefghij][234567abcdefghijklmnopqrstuvwxyz]{12}$/;

/** How far ahead of our clock a rev may be (Sync v1.1). */
export const MAX_CLOCK_AHEAD_MS = 5 * 60_000;

/** Whether a text has the form of a TID: 13 characters of base32-sortable. */
export function isTid(text: string): boolean {
  return text.length === 13 && FORM.test(text);
}

/**
 * The time that a TID states, in milliseconds since 1970 (with the
 * microseconds as a fraction); NaN where the text is not a TID.
 */
export function tidTime(tid: string): number {
  if (!isTid(tid)) return Number.NaN;
  let micros = 0;
  // The last two characters are the clock id.
  for (let i = 0; i < 11; i++) micros = micros * 32 + ALPHABET.indexOf(tid[i]!);
  return micros / 1000;
}

/** Order of two TIDs in time: negative, 0 or positive. Equal to the order of their bytes. */
export function compareTids(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Whether a TID lies further ahead of `now` (ms) than a right clock may. Not a TID: true. */
export function isFutureTid(tid: string, now = Date.now(), aheadMs = MAX_CLOCK_AHEAD_MS): boolean {
  return !(tidTime(tid) <= now + aheadMs);
}

/** The TID of a time in milliseconds and a clock id of 0 to 1023. For tests and bounds. */
export function tidAt(ms: number, clockId = 0): string {
  let rest = Math.round(ms * 1000);
  let text = '';
  for (let i = 0; i < 11; i++) {
    text = ALPHABET[rest % 32] + text;
    rest = Math.floor(rest / 32);
  }
  return text + ALPHABET[clockId >> 5] + ALPHABET[clockId & 31];
}
