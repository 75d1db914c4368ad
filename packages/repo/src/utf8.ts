/**
 * Length in bytes of the well-formed multi-byte UTF-8 sequence that begins at
 * `at` (whose byte is 0x80 or above), or 0 where there is none: overlong
 * forms, surrogates and what is above U+10FFFF are not well formed (RFC 3629).
 */
export function utf8SequenceLength(bytes: Uint8Array, at: number, end: number): 0 | 2 | 3 | 4 {
  const first = bytes[at]!;
  if (first < 0xc2 || first > 0xf4 || at + 1 >= end) return 0;
  const second = bytes[at + 1]!;
  if (first < 0xe0) return isContinuation(second) ? 2 : 0;
  if (first < 0xf0) {
    const low = first === 0xe0 ? 0xa0 : 0x80;
    const high = first === 0xed ? 0x9f : 0xbf;
    const good = second >= low && second <= high && at + 2 < end && isContinuation(bytes[at + 2]!);
    return good ? 3 : 0;
  }
  const low = first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high || at + 3 >= end) return 0;
  return isContinuation(bytes[at + 2]!) && isContinuation(bytes[at + 3]!) ? 4 : 0;
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

/** Whether the whole range is well-formed UTF-8. */
export function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    if (bytes[i]! < 0x80) continue;
    const length = utf8SequenceLength(bytes, i, end);
    if (length === 0) return false;
    i += length - 1;
  }
  return true;
}
