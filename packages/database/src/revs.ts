const alphabet = '234567abcdefghijklmnopqrstuvwxyz';

/** When a commit was made, by its host's clock, in ms since 1970. The rev has the form of a TID. */
export function timeOfRev(rev: string): number {
  let micros = 0;
  // The last two characters are the clock's id.
  for (let i = 0; i < 11; i++) micros = micros * 32 + alphabet.indexOf(rev[i]!);
  return micros / 1000;
}

/** The rev that lies before all revs of commits made at or after a time (ms since 1970). */
export function revAt(ms: number): string {
  let rest = Math.floor(ms * 1000);
  let text = '';
  for (let i = 0; i < 11; i++) {
    text = alphabet[rest % 32] + text;
    rest = Math.floor(rest / 32);
  }
  return `${text}22`;
}
