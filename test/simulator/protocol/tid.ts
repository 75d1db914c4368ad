const DIGITS = '234567abcdefghijklmnopqrstuvwxyz';

/** The TID of a time in microseconds since 1970, with a clock id in [0, 1024). */
export function tidOf(micros: number, clock = 0): string {
  // 53 bits of time and 10 of clock: too many for one number, so in two halves of 9 and 4 digits.
  let high = Math.floor(micros / 1024);
  let low = (Math.floor(micros) % 1024) * 1024 + clock;
  let text = '';
  for (let i = 0; i < 4; i++) {
    text = DIGITS[low & 31] + text;
    low >>>= 5;
  }
  for (let i = 0; i < 9; i++) {
    text = DIGITS[high % 32] + text;
    high = Math.floor(high / 32);
  }
  return text;
}
