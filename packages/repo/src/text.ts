/**
 * Buffer's own slicing without the checks of toString, which cost as much as
 * the slicing of a short text. Long-standing, though not in Node's types.
 */
interface Slices {
  latin1Slice(start: number, end: number): string;
  utf8Slice(start: number, end: number): string;
}

/** ASCII or latin-1 text of a range, which must lie within the buffer. */
export function latin1Text(bytes: Buffer, start: number, end: number): string {
  return (bytes as Buffer & Slices).latin1Slice(start, end);
}

/** Text of a range that is known to be UTF-8, and to lie within the buffer. */
export function utf8Text(bytes: Buffer, start: number, end: number): string {
  return (bytes as Buffer & Slices).utf8Slice(start, end);
}
