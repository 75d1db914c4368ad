/** As much of Grafana's dashboard format as ours need. */

export interface Query {
  expr: string;
  /** `{{label}}` stands for the label's value. */
  legend: string;
}

export interface Panel {
  title: string;
  unit: 's' | 'bytes' | 'Bps' | 'short' | 'ops' | 'percentunit';
  queries: Query[];
  /** `stat`: the present value, large; `time`: over time. */
  kind: 'stat' | 'time';
  /** Of 24 columns. */
  width: number;
  /** Values from here on are red; in a `stat` only. */
  redFrom?: number;
  stacked?: boolean;
  about?: string;
}

/** A question and what answers it. */
export interface Row {
  question: string;
  panels: Panel[];
}

type Options = Partial<Pick<Panel, 'width' | 'redFrom' | 'stacked' | 'about'>>;

/** Curves over time. A query is its expression, and the legend of its curves. */
export function curves(
  title: string,
  unit: Panel['unit'],
  queries: [expr: string, legend: string][],
  options: Options = {},
): Panel {
  return {
    title,
    unit,
    kind: 'time',
    width: 8,
    queries: queries.map(([expr, legend]) => ({ expr, legend })),
    ...options,
  };
}

/** One present value, large. */
export function figure(title: string, unit: Panel['unit'], expr: string, options: Options = {}): Panel {
  return { title, unit, kind: 'stat', width: 4, queries: [{ expr, legend: '' }], ...options };
}

const heights = { stat: 4, time: 8 };
const columns = 24;

/** The dashboard as Grafana reads it; ids and places follow from the order. */
export function dashboard(
  uid: string,
  title: string,
  rows: Row[],
): { panels: object[]; [key: string]: unknown } {
  const panels: object[] = [];
  let y = 0;
  for (const { question, panels: own } of rows) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title: question,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y: y++, w: columns, h: 1 },
    });
    let [x, height] = [0, 0];
    for (const panel of own) {
      const h = heights[panel.kind];
      if (x + panel.width > columns) [x, y, height] = [0, y + height, 0];
      panels.push({ id: panels.length + 1, gridPos: { x, y, w: panel.width, h }, ...panelJson(panel) });
      x += panel.width;
      height = Math.max(height, h);
    }
    y += height;
  }
  return {
    uid,
    title,
    tags: ['headwater'],
    timezone: 'utc',
    editable: false,
    graphTooltip: 1,
    refresh: '30s',
    schemaVersion: 39,
    time: { from: 'now-6h', to: 'now' },
    panels,
  };
}

function panelJson({ title, unit, queries, kind, redFrom, stacked, about }: Panel): object {
  const red = {
    mode: 'absolute',
    steps: [
      { color: 'green', value: null },
      { color: 'red', value: redFrom },
    ],
  };
  const defaults = {
    unit,
    min: 0,
    ...(redFrom !== undefined && { thresholds: red }),
    ...(kind === 'time' && {
      custom: {
        fillOpacity: stacked ? 40 : 10,
        lineWidth: 1,
        showPoints: 'never',
        stacking: { mode: stacked ? 'normal' : 'none' },
      },
    }),
  };
  return {
    type: kind === 'stat' ? 'stat' : 'timeseries',
    title,
    ...(about !== undefined && { description: about }),
    datasource: { type: 'prometheus', uid: 'prometheus' },
    targets: queries.map(({ expr, legend }, i) => ({
      refId: String.fromCharCode(65 + i),
      expr,
      legendFormat: legend,
      instant: kind === 'stat',
    })),
    fieldConfig: { defaults, overrides: [] },
    options:
      kind === 'stat'
        ? {
            colorMode: redFrom === undefined ? 'none' : 'background',
            graphMode: 'none',
            reduceOptions: { calcs: ['lastNotNull'] },
          }
        : { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
  };
}
