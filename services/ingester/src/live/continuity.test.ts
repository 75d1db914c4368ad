import { describe, expect, it } from 'vitest';
import { Continuity } from './continuity.ts';

const start = Date.UTC(2026, 0, 1);

/** Reads `count` events from `seq` and `time` on, at intervals; returns why something may have been missed. */
function read(
  continuity: Continuity,
  {
    seq,
    time,
    count = 200,
    everyMs = 10,
    step = 1,
  }: { seq: number; time: number; count?: number; everyMs?: number; step?: number },
): string[] {
  const broken: string[] = [];
  for (let i = 0; i < count; i++) {
    const found = continuity.next(seq + i * step, time + i * everyMs);
    if (found) broken.push(found.reason);
  }
  return broken;
}

describe('numbers', () => {
  it('that go on are whole, however often the host is connected to', () => {
    const continuity = new Continuity();
    let seq = 1;
    for (let connection = 0; connection < 20; connection++) {
      continuity.connected();
      expect(read(continuity, { seq, time: start + seq * 10, count: 150 })).toEqual([]);
      seq += 150;
    }
  });

  it.each([1, 5, 1000])('with a hole of %i after a reconnect are not, on a stream that has none', (hole) => {
    const continuity = new Continuity();
    read(continuity, { seq: 1, time: start });
    continuity.connected();
    expect(read(continuity, { seq: 201 + hole, time: start + 2000 })).toEqual(['sequence-hole']);
  });

  it('with holes all the time are whole, and a larger one is seen', () => {
    const continuity = new Continuity();
    read(continuity, { seq: 1, time: start, step: 4 });
    continuity.connected();
    expect(read(continuity, { seq: 803, time: start + 2000, step: 4 })).toEqual([]);
    continuity.connected();
    expect(read(continuity, { seq: 1700, time: start + 4000, step: 4 })).toEqual(['sequence-hole']);
  });

  it('are held against the stored cursor at a start', () => {
    expect(read(new Continuity(500, start), { seq: 501, time: start })).toEqual([]);
    expect(read(new Continuity(500, start), { seq: 600, time: start })).toEqual(['sequence-hole']);
    expect(read(new Continuity(500, start), { seq: 1, time: start })).toEqual(['sequence-reset']);
    expect(read(new Continuity(), { seq: 600, time: start })).toEqual([]);
  });

  it('that begin anew are noticed once, also within a connection', () => {
    const continuity = new Continuity();
    read(continuity, { seq: 1000, time: start });
    expect(read(continuity, { seq: 1, time: start + 2000 })).toEqual(['sequence-reset']);
    continuity.forget();
    expect(read(continuity, { seq: 5_000_000, time: start + 4000 })).toEqual([]);
  });
});

describe('times', () => {
  const hour = 3_600_000;

  it('that go on elsewhere show a count that was begun anew and has reached the cursor again', () => {
    for (const [away, reason] of [
      [2 * hour, 'time-gap'],
      [-2 * hour, 'time-back'],
    ] as const) {
      const continuity = new Continuity();
      read(continuity, { seq: 1, time: start });
      continuity.connected();
      expect(read(continuity, { seq: 201, time: start + 2000 + away })).toEqual([reason]);
    }
  });

  it('are held against those stored with the cursor', () => {
    const continuity = new Continuity(200, start);
    continuity.connected();
    expect(read(continuity, { seq: 201, time: start + hour })).toEqual(['time-gap']);
  });

  it('of a quiet host have long pauses of their own', () => {
    const continuity = new Continuity(200, start);
    continuity.connected();
    expect(read(continuity, { seq: 201, time: start + hour, everyMs: hour / 2 })).toEqual([]);
  });

  it('of single hosts with wrong clocks mean nothing', () => {
    const continuity = new Continuity();
    const wild = (i: number) => start + i * 10 + (i % 3 === 0 ? (i % 2 ? 99 : -99) * hour : 0);
    for (let i = 0; i < 300; i++) expect(continuity.next(i + 1, wild(i))).toBeUndefined();
    continuity.connected();
    for (let i = 300; i < 600; i++) expect(continuity.next(i + 1, wild(i))).toBeUndefined();
    expect(Math.abs(continuity.time! - (start + 6000))).toBeLessThan(1000);
  });
});
