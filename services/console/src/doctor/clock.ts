import { age } from '../table.ts';
import { error, type Finding, ok } from './finding.ts';

/** Revs up to five minutes ahead are believed: a clock off by a good part of that refuses true commits. */
const mostOffMs = 60_000;

/** This machine's clock against another one's. @param offMs how far the other is ahead */
export function clockFinding(other: string, offMs: number): Finding {
  const check = `clock against ${other}`;
  const off = Math.abs(offMs);
  if (off < mostOffMs) return ok(check, `${Math.round(off)} ms apart`);
  const what = `${other}'s clock is ${age(off)} ${offMs > 0 ? 'ahead of' : 'behind'} this machine's`;
  return error(check, what, 'Turn on NTP (`timedatectl set-ntp true`) on both machines, then look again.');
}
