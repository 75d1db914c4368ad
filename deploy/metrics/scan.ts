/**
 * Finds every metric that the code declares, by reading the code: what is
 * declared and never reached at run time counts too, so the list does not
 * depend on what a process happens to do. Names are literals everywhere (the
 * test of this file fails when one is not).
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Metric {
  /** With the prefix `headwater_`. */
  name: string;
  type: 'counter' | 'gauge' | 'histogram';
  help: string;
  labels: string[];
  /** File that declares it, from the root of the project. */
  file: string;
}

export const root = new URL('../../', import.meta.url).pathname;

const call = /\b(counter|gauge|histogram)\(\s*(?:'([a-z0-9_]+)'|(\w+)),\s*('(?:[^'\\]|\\.)*'|"[^"]*"|\w+),?/g;
const labelList = /^\s*\[([^\]]*)\]/;

/** All metrics of our own, by name; prom-client's (`headwater_process_…`, `headwater_nodejs_…`) are not among them. */
export function scanMetrics(): Metric[] {
  const files = globSync('{packages,services}/*/src/**/*.ts', { cwd: root }).filter(
    (file) => !file.endsWith('.test.ts'),
  );
  return files.flatMap(metricsOf).sort((a, b) => (a.name < b.name ? -1 : 1));
}

function metricsOf(file: string): Metric[] {
  const text = readFileSync(join(root, file), 'utf8');
  const calls = [...text.matchAll(call)].map((match) => ({ match, labels: labelsAfter(text, match) }));
  // A file may have a short way of its own: `gauge(name, help, ['stream'])` in one place gives all others their labels.
  const inherited = calls.find(({ match }) => match[3] === 'name')?.labels ?? [];
  return calls.flatMap(({ match: [, type, name, , help], labels }) =>
    name === undefined
      ? []
      : [
          {
            name: `headwater_${name}`,
            type: type as Metric['type'],
            help: help!.slice(1, -1).replaceAll("\\'", "'"),
            labels: labels ?? inherited,
            file,
          },
        ],
  );
}

function labelsAfter(text: string, match: RegExpExecArray | RegExpMatchArray): string[] | undefined {
  const list = labelList.exec(text.slice(match.index! + match[0].length))?.[1];
  return list?.split(',').flatMap((label) => /\w+/.exec(label)?.[0] ?? []);
}
