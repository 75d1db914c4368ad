import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LoopDetector, LoopingCursorError } from './loop-detector.ts';

it('finds a loop of any length, anywhere, within a few rounds', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 1, max: 300 }), (before, length) => {
      const loops = new LoopDetector('h', undefined);
      const budget = 3 * (before + length) + 3;
      let found: unknown;
      for (let i = 0; i < budget && found === undefined; i++) {
        try {
          loops.next(String(i < before ? i : before + ((i - before) % length)));
        } catch (err) {
          found = err;
        }
      }
      expect(found).toBeInstanceOf(LoopingCursorError);
    }),
  );
});

it('lets distinct cursors pass', () => {
  const loops = new LoopDetector('h', 'start');
  for (let i = 0; i < 100_000; i++) loops.next(String(i));
});
