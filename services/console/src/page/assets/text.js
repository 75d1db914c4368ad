// Figures as people read them. Shared by the server and the browser.

/** Text that may stand in HTML and in its attributes. */
export function safe(text) {
  return String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** `12,345`; a dash where nobody knows. */
export function count(n) {
  return n === null || n === undefined ? '–' : Math.round(n).toLocaleString('en');
}

const spans = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
  [1, 's'],
];

/** A duration in seconds, in its two largest units: `2 h 5 min`. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds < 1) return seconds <= 0 ? '0 s' : '< 1 s';
  const at = spans.findIndex(([size]) => seconds >= size);
  const [size, unit] = spans[at];
  const whole = Math.floor(seconds / size);
  const next = spans[at + 1];
  const rest = next && whole < 10 ? Math.floor((seconds - whole * size) / next[0]) : 0;
  return rest > 0 ? `${whole} ${unit} ${rest} ${next[1]}` : `${whole} ${unit}`;
}

/** A number of bytes: `3.2 GiB`. */
export function bytes(n) {
  if (n === null || n === undefined) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const step = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, n)) / 10));
  return `${(n / 2 ** (10 * step)).toFixed(step === 0 ? 0 : 1)} ${units[step]}`;
}

/** A rate with as many digits as mean something. */
export function rate(n) {
  if (n === null || n === undefined) return '–';
  return n >= 10 || n === 0 ? count(n) : n.toPrecision(2);
}
