/** What the user sees: permanent lines, and on a terminal one block below them that is drawn anew in place. */
export class Display {
  private readonly out: NodeJS.WriteStream;
  private shown: string[] = [];
  private printed = '';

  constructor(out: NodeJS.WriteStream = process.stdout) {
    this.out = out;
  }

  /** A line that stays. */
  line(text = ''): void {
    this.redraw([text], this.shown);
  }

  /** The block's lines. Without a terminal they are printed as one line each time they differ. */
  block(lines: string[]): void {
    const text = lines.join(' | ').replaceAll(/\s+/g, ' ').trim();
    if (text === this.printed) return;
    this.printed = text;
    if (this.out.isTTY) this.redraw([], lines);
    else this.out.write(`  ${text}\n`);
  }

  /** What the block shows now stays. */
  keep(): void {
    this.shown = [];
    this.printed = '';
  }

  private redraw(above: string[], block: string[]): void {
    const back = this.shown.length > 0 ? `\x1b[${this.shown.length}A\x1b[J` : '';
    const width = this.out.columns ?? 200;
    const cut = block.map((line) => (line.length >= width ? `${line.slice(0, width - 2)}…` : line));
    this.out.write(`${back}${[...above, ...cut].map((line) => `${line}\n`).join('')}`);
    this.shown = cut;
  }
}

/** `1234567` as `1,234,567`. */
export function number(n: number): string {
  return n.toLocaleString('en-US');
}

/** Columns padded to their widest cell; numbers to the right. */
export function table(rows: (string | number)[][]): string[] {
  const cells = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? number(cell) : cell)));
  const widths = cells[0]!.map((_, i) => Math.max(...cells.map((row) => row[i]!.length)));
  const pad = (cell: string, i: number) =>
    /^[\d,]+$/.test(cell) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!);
  return cells.map((row) => `  ${row.map(pad).join('   ').trimEnd()}`);
}
