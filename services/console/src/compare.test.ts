import { describe, expect, it } from 'vitest';
import { compareRows } from './compare.ts';

const rows = [
  { path: 'c/a', cid: '1', rev: '3a' },
  { path: 'c/b', cid: '2', rev: '3a' },
  { path: 'c/c', cid: '3', rev: '3z' },
  { path: 'c/d', cid: '4', rev: '3z' },
  { path: 'c/e', cid: '5', rev: '3a' },
];

describe('compareRows', () => {
  it('tells missing, extra, differing and newer rows apart', () => {
    const records = [
      { path: 'c/a', cid: '1' },
      { path: 'c/b', cid: 'other' },
      { path: 'c/c', cid: 'other' },
      { path: 'c/f', cid: '6' },
    ];
    expect(compareRows(records, rows, '3m')).toEqual({
      equal: 1,
      newer: 2,
      differences: [
        { path: 'c/b', kind: 'differs' },
        { path: 'c/f', kind: 'missing' },
        { path: 'c/e', kind: 'extra' },
      ],
    });
  });

  it('finds nothing between equals', () => {
    expect(compareRows(rows, rows, '3m')).toEqual({ equal: 5, newer: 0, differences: [] });
  });
});
