// Run by reporter.test.ts only.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

let goes = 0;

describe('a property', () => {
  test('fails on the first go', () => {
    const first = goes++ === 0;
    fc.assert(
      fc.property(fc.nat(), (n) => {
        expect({ n: first ? n : 0 }).toEqual({ n: 0 });
      }),
      { seed: 424242 },
    );
  });
});

test('passes at once', () => {});
