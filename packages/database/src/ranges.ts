/** Sorted, disjoint half-open ranges of integers: which parts of a fetch are applied. */
export type Ranges = readonly (readonly [from: number, to: number])[];

/** Reads an int4multirange as PostgreSQL writes it: `{[0,3),[5,6)}`. */
export function parseRanges(text: string): Ranges {
  return [...text.matchAll(/\[(\d+),(\d+)\)/g)].map((m) => [Number(m[1]), Number(m[2])] as const);
}

export function formatRanges(ranges: Ranges): string {
  return `{${ranges.map(([from, to]) => `[${from},${to})`).join(',')}}`;
}

export function contains(ranges: Ranges, n: number): boolean {
  return ranges.some(([from, to]) => from <= n && n < to);
}

/** Whether every number from 0 up to `end` (exclusive) is in. */
export function covers(ranges: Ranges, end: number): boolean {
  return end === 0 || ranges.some(([from, to]) => from === 0 && to >= end);
}

/** The ranges with `n` added. */
export function add(ranges: Ranges, n: number): Ranges {
  if (contains(ranges, n)) return ranges;
  const out: [number, number][] = [];
  for (const [from, to] of [...ranges, [n, n + 1] as const].sort((a, b) => a[0] - b[0])) {
    const last = out.at(-1);
    if (last && last[1] >= from) last[1] = Math.max(last[1], to);
    else out.push([from, to]);
  }
  return out;
}
