import { type Metric, scanMetrics } from './scan.ts';

/** docs/metrics.md: every metric with its type, labels and meaning. */
export function renderMetrics(metrics: Metric[] = scanMetrics()): string {
  return [
    '# Metrics',
    '',
    'Generated from the code by `node deploy/metrics/document-main.ts`; change it there.',
    '',
    'Every process serves its metrics on `/metrics` (`METRICS_PORT`, `METRICS_HOST`). All names begin with `headwater_`, units are seconds and bytes, every metric has the label `service`, none has a label for a DID or a host. prom-client’s own metrics of process and runtime are there too, as `headwater_process_…` and `headwater_nodejs_…`.',
    '',
    'Gauges about a stream (`headwater_stream_…` with the label `group`) are looked up in Redis at each scrape by every process that reads the stream, so several processes show the same figure: use `max by (stream, group)`, never `sum`.',
    '',
    'test/metrics brings about a cause of each and sees that it moves; a metric without one fails it.',
    '',
    '| Metric | Type | Labels | Meaning | Declared in |',
    '|---|---|---|---|---|',
    ...metrics.map(
      ({ name, type, labels, help, file }) =>
        `| \`${name}\` | ${type} | ${labels.join(', ') || '–'} | ${help} | ${file.split('/').slice(0, 2).join('/')} |`,
    ),
    '',
  ].join('\n');
}
