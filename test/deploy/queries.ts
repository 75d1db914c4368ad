import { scanMetrics } from '../../deploy/metrics/scan.ts';

/** Labels that Prometheus, prom-client or the scrape adds to every metric. */
const everywhere = ['service', 'job', 'instance', 'le'];
/** Not ours: Prometheus's own, the node exporter's, and prom-client's of process and runtime. */
const foreign = /^(up$|ALERTS$|node_|headwater_process_|headwater_nodejs_)/;

const known = new Map(
  scanMetrics().flatMap(({ name, type, labels }) => {
    const names = type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => name + end) : [name];
    return names.map((each) => [each, [...labels, ...everywhere]] as const);
  }),
);

/** What a PromQL query asks for that no code declares: metrics, or labels of metrics. */
export function unknownInQuery(query: string): string[] {
  // Texts may hold braces and names; label values are not looked at.
  const plain = query.replace(/"[^"]*"|'[^']*'/g, '""');
  return [...plain.matchAll(/\b((?:headwater|node)_\w+|up|ALERTS)\b(?!\s*\()(?:\{([^}]*)\})?/g)].flatMap(
    ([, name, matchers = '']) => {
      if (foreign.test(name!)) return [];
      const labels = known.get(name!);
      if (labels === undefined) return [name!];
      return [...matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)]
        .map(([, label]) => label!)
        .filter((label) => !labels.includes(label))
        .map((label) => `${name}{${label}}`);
    },
  );
}
