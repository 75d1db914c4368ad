// Small plots as inline SVG, of samples that may have holes.
import { safe } from './text.js';

const [width, height, pad] = [300, 64, 3];
/** A hole longer than this breaks the line, in ms. */
const hole = 45_000;

/**
 * @param title what is plotted
 * @param points [time in ms, value or null] pairs, oldest first
 * @param format makes a value readable
 */
export function plot(title, points, format) {
  const known = points.filter(([, value]) => value !== null && value !== undefined);
  const last = known.at(-1)?.[1];
  const now = last === undefined ? '–' : format(last);
  const top = Math.max(...known.map(([, value]) => value), 0);
  const said = `${title}: now ${now}, at most ${format(top)} within the last hour`;
  const drawing =
    known.length > 1 ? draw(known, top) : '<text x="150" y="36" text-anchor="middle">no samples yet</text>';
  return `<figure class="plot"><figcaption><span>${safe(title)}</span><b>${safe(now)}</b></figcaption>
<svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label="${safe(said)}">${drawing}</svg>
<p class="axis"><span>1 h ago</span><span>max ${safe(format(top))}</span><span>now</span></p></figure>`;
}

function draw(known, top) {
  const end = known.at(-1)[0];
  const x = (at) => (width - (width * (end - at)) / 3_600_000).toFixed(1);
  const y = (value) => (height - pad - ((height - 2 * pad) * value) / (top || 1)).toFixed(1);
  let line = '';
  let area = '';
  let start = known[0];
  known.forEach((point, i) => {
    const [at, value] = point;
    const isFirst = i === 0 || at - known[i - 1][0] > hole;
    if (isFirst) start = point;
    line += `${isFirst ? 'M' : 'L'}${x(at)} ${y(value)}`;
    const isLast = i === known.length - 1 || known[i + 1][0] - at > hole;
    if (isFirst) area += `M${x(at)} ${height}`;
    area += `L${x(at)} ${y(value)}`;
    if (isLast) area += `L${x(at)} ${height}L${x(start[0])} ${height}Z`;
  });
  return `<path class="area" d="${area}"/><path class="line" d="${line}"/>`;
}
