/**
 * Moments: ISO times with milliseconds, compared as text. A record stands at
 * the earlier of its createdAt and the time at which it was indexed; a change
 * of a record stands where it was indexed, its deletion at its rev.
 */
import { earlier } from '../dates.ts';
import { cellOf, type PackedRow } from '../packed-rows.ts';

const digits = '234567abcdefghijklmnopqrstuvwxyz';

/** The moment that a rev (a TID) states. */
export function momentOfRev(rev: string): string {
  let micros = 0;
  // The last two characters are the clock's id.
  for (let i = 0; i < 11; i++) micros = micros * 32 + digits.indexOf(rev[i]!);
  return new Date(micros / 1000).toISOString();
}

/** A rev that states a time in milliseconds since 1970. */
export function revAt(ms: number): string {
  let micros = Math.floor(ms) * 1000;
  let rev = '22';
  for (let i = 0; i < 11; i++) {
    rev = digits[micros % 32] + rev;
    micros = Math.floor(micros / 32);
  }
  return rev;
}

/** Where a row that a builder made stands. */
export function momentOfRow(row: PackedRow): string {
  return earlier(cellOf(row, 'createdAt')!, cellOf(row, 'indexedAt')!);
}
