import {
  Counter,
  type CounterConfiguration,
  collectDefaultMetrics,
  Gauge,
  type GaugeConfiguration,
  Histogram,
  type HistogramConfiguration,
  Registry,
} from 'prom-client';

const prefix = 'headwater_';

/**
 * The metrics of one process, all under `headwater_`, in base units.
 * Asking for a name twice gives the same metric. Never a label for a DID or a host.
 */
export class Metrics {
  readonly registry = new Registry();

  constructor(service: string, version = '0.1.0') {
    this.registry.setDefaultLabels({ service });
    collectDefaultMetrics({ register: this.registry, prefix });
    this.gauge('build_info', 'Version and runtime, always 1.', ['version', 'node']).set(
      { version, node: process.version },
      1,
    );
  }

  counter<L extends string = never>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
    config: Partial<CounterConfiguration<L>> = {},
  ): Counter<L> {
    return this.#once(name, (full) => new Counter<L>({ ...config, ...this.#base(full, help, labelNames) }));
  }

  /** With `config.collect` the value is asked for when Prometheus scrapes. */
  gauge<L extends string = never>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
    config: Partial<GaugeConfiguration<L>> = {},
  ): Gauge<L> {
    return this.#once(name, (full) => new Gauge<L>({ ...config, ...this.#base(full, help, labelNames) }));
  }

  histogram<L extends string = never>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
    config: Partial<HistogramConfiguration<L>> = {},
  ): Histogram<L> {
    return this.#once(name, (full) => new Histogram<L>({ ...config, ...this.#base(full, help, labelNames) }));
  }

  #base<L extends string>(name: string, help: string, labelNames: readonly L[]) {
    return { name, help, labelNames: [...labelNames], registers: [this.registry] };
  }

  #once<T>(name: string, make: (full: string) => T): T {
    const full = prefix + name;
    return (this.registry.getSingleMetric(full) as T | undefined) ?? make(full);
  }
}
