import { TID } from '@atproto/common-web';
import { describe, expect, test } from 'vitest';
import { compareTids, isFutureTid, isTid, MAX_CLOCK_AHEAD_MS, tidAt, tidTime } from './tid.ts';

describe('a TID', () => {
  test('has the time that the reference gives', () => {
    for (let i = 0; i < 50; i++) {
      const tid = TID.nextStr();
      expect(isTid(tid)).toBe(true);
      expect(tidTime(tid)).toBe(TID.fromStr(tid).timestamp() / 1000);
      expect(tidAt(tidTime(tid), TID.fromStr(tid).clockid())).toBe(tid);
    }
  });

  test('is told from what is none', () => {
    expect(isTid('2222222222222')).toBe(true);
    for (const text of [
      '',
      '222222222222',
      '22222222222222',
      'k222222222222',
      '3jzfcijpj2z2A',
      '3jzf-ijpj2z2a',
    ]) {
      expect(isTid(text)).toBe(false);
      expect(tidTime(text)).toBeNaN();
      expect(isFutureTid(text)).toBe(true);
    }
  });

  test('is compared and held against the clock', () => {
    const now = Date.now();
    expect(compareTids(tidAt(now), tidAt(now + 1))).toBeLessThan(0);
    expect(compareTids(tidAt(now, 5), tidAt(now, 5))).toBe(0);
    expect(compareTids(tidAt(now, 6), tidAt(now, 5))).toBeGreaterThan(0);
    expect(isFutureTid(tidAt(now + MAX_CLOCK_AHEAD_MS), now)).toBe(false);
    expect(isFutureTid(tidAt(now + MAX_CLOCK_AHEAD_MS + 1), now)).toBe(true);
  });
});
