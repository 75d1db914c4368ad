/** ASCII or latin-1 text of a range. */
export function latin1Text(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('latin1', start, end);
}

/** Text of a range that is known to be UTF-8. */
export function utf8Text(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('utf8', start, end);
}

/** Hexadecimal digits of a range. */
export function hexText(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('hex', start, end);
}
