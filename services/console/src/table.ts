/** Columns of text side by side; numbers to the right. */
export function table(
  head: readonly string[],
  rows: readonly (readonly (string | number | null)[])[],
): string {
  const cells = rows.map((row) => row.map((cell) => (cell === null ? '–' : format(cell))));
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]!.length)));
  const line = (row: readonly string[], numeric: readonly boolean[]) =>
    row
      .map((cell, i) => (numeric[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd();
  const numeric = head.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] !== 'string'));
  return [line(head, numeric), ...cells.map((row) => line(row, numeric))].join('\n');
}

function format(cell: string | number): string {
  return typeof cell === 'number' ? cell.toLocaleString('en') : cell;
}

const steps = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
] as const;

/** A duration in its largest fitting unit: `5 min`. */
export function age(ms: number | null): string {
  if (ms === null) return '–';
  const [size, unit] = steps.find(([size]) => ms >= size) ?? [1, 'ms'];
  return `${Math.round(ms / size)} ${unit}`;
}

/** A number of bytes in its largest fitting unit: `3.2 MiB`. */
export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const step = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${(bytes / 2 ** (10 * step)).toFixed(step === 0 ? 0 : 1)} ${units[step]}`;
}
