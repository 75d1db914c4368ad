import { existsSync, globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { knownVariables } from '@headwater/ops';
import { describe, expect, it } from 'vitest';
import { renderMetrics } from '../../deploy/metrics/document.ts';
import { scanMetrics } from '../../deploy/metrics/scan.ts';
import { readCompose, readText, readYaml, root } from './compose.ts';
import { findPromtool, promtool } from './promtool.ts';
import { unknownInQuery } from './queries.ts';

interface Rule {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: { summary: string; description: string; runbook_url: string };
}

const rules = readYaml<{ groups: { name: string; rules: Rule[] }[] }>(
  'deploy/prometheus/rules.yml',
).groups.flatMap((group) => group.rules);
const runbooks = globSync('docs/runbooks/*.md', { cwd: root }).filter((file) => !file.endsWith('README.md'));
const cases = globSync('deploy/prometheus/tests/*.yml', { cwd: root });

describe('metrics', () => {
  it('are all found by reading the code', () => {
    const files = globSync('{packages,services}/*/src/**/*.ts', { cwd: root }).filter(
      (f) => !/\.test\.ts$/.test(f),
    );
    // Every call that makes a metric, but the one that takes its name from a helper's argument.
    const calls = files.flatMap((file) => [
      ...readText(file).matchAll(/[mM]etrics\.(counter|gauge|histogram)\(\s*(?!name\b)/g),
    ]);
    const found = scanMetrics();
    expect(found.length).toBeGreaterThanOrEqual(calls.length);
    expect(new Set(found.map(({ name }) => name)).size).toBe(found.length);
  });

  it('are listed in docs/metrics.md (node deploy/metrics/document-main.ts)', () => {
    expect(readText('docs/metrics.md')).toBe(renderMetrics());
  });

  it('have no label for a DID or a host', () => {
    for (const { name, labels } of scanMetrics()) {
      for (const label of labels) expect(['did', 'host', 'handle', 'uri'], name).not.toContain(label);
    }
  });
});

describe('alerts', () => {
  it.each(rules)('$alert asks for metrics and labels that exist', ({ expr }) => {
    expect(unknownInQuery(expr)).toEqual([]);
  });

  it.each(rules)('$alert says what it is, how bad, and where to read on', (rule) => {
    expect(['critical', 'warning']).toContain(rule.labels.severity);
    expect(rule.annotations.summary).toMatch(/\.$/);
    expect(rule.annotations.description).toMatch(/\.$/);
    expect(rule.annotations.runbook_url).toBe(`docs/runbooks/${rule.alert}.md`);
    expect(runbooks).toContain(rule.annotations.runbook_url);
  });

  it.each(rules)('$alert has a case that fires and one that does not', ({ alert }) => {
    const names = cases
      .flatMap((file) => readYaml<{ tests: { name: string }[] }>(file).tests)
      .map(({ name }) => name);
    expect(names.some((name) => name.startsWith(`${alert} fires`))).toBe(true);
    expect(names.some((name) => name.startsWith(`${alert} is silent`))).toBe(true);
  });
});

describe('runbooks', () => {
  it.each(runbooks)('%s belongs to an alert and says what an operator needs', (file) => {
    const name = file.split('/').at(-1)!.slice(0, -3);
    expect(rules.map(({ alert }) => alert)).toContain(name);
    const text = readText(file);
    for (const part of [
      `# ${name}`,
      '## What it means',
      '## How to look',
      '## What to do',
      '## When to ignore it',
    ]) {
      expect(text).toContain(`${part}\n`);
    }
    expect(namesOfMetrics(text).flatMap(unknownInQuery)).toEqual([]);
  });

  it.each([...runbooks, 'docs/operations.md', 'docs/runbooks/README.md'])(
    '%s names commands, services, settings and pages that exist',
    (file) => {
      const text = readText(file);
      const commands = [...text.matchAll(/(?:\bhw|headwater headwater|run headwater --) ([a-z]+)/g)].map(
        ([, word]) => word,
      );
      for (const command of commands) expect(commandsOfConsole).toContain(command);
      const services = [...text.matchAll(/\bdc (?:logs|ps|stop|restart|up|exec|run) ([^`\n|]*)/g)]
        .flatMap(
          ([, words]) => words!.match(/\b(ingester|indexer|repo-backfiller|redis|postgres)[a-z-]*/g) ?? [],
        )
        .filter((word) => !['redis-cli'].includes(word));
      for (const service of services) expect(Object.keys(readCompose().services)).toContain(service);
      const variables = text.match(/\b(INGESTER|BACKFILLER|INDEXER|HEADWATER)_[A-Z_]*[A-Z]/g) ?? [];
      for (const variable of variables) expect(knownVariables()).toContain(variable);
      for (const [, page] of text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
        expect(existsSync(join(root, dirname(file), page!)), page).toBe(true);
      }
    },
  );

  it('are all listed in docs/runbooks/README.md', () => {
    const index = readText('docs/runbooks/README.md');
    for (const { alert } of rules) expect(index).toContain(`[${alert}](${alert}.md)`);
  });
});

it('Prometheus scrapes every service that has metrics, on its port', () => {
  const { scrape_configs: jobs } = readYaml<{
    scrape_configs: { job_name: string; dns_sd_configs?: { names: string[]; port: number }[] }[];
  }>('deploy/prometheus/prometheus.yml');
  for (const [name, service] of Object.entries(readCompose().services)) {
    const port = service.healthcheck?.test.join(' ').match(/healthcheck.mjs (\d+)/)?.[1];
    if (port === undefined) continue;
    const job = jobs.find(({ job_name }) => job_name === name)?.dns_sd_configs?.[0];
    expect(job, name).toMatchObject({ names: [name], type: 'A', port: Number(port) });
  }
});

describe('promtool', () => {
  const found = findPromtool();

  it('is there', ({ skip }) => {
    if ('path' in found) return;
    // On CI the alerts must have been tried.
    expect(process.env['CI'], found.missing).toBeFalsy();
    skip(`the alert rules were not tried: ${found.missing}`);
  });

  it('accepts rules and configuration, and every case ends as it should', { timeout: 120_000 }, ({
    skip,
  }) => {
    if ('missing' in found) return skip(found.missing);
    for (const args of [
      ['check', 'rules', 'deploy/prometheus/rules.yml'],
      ['check', 'config', '--syntax-only', 'deploy/prometheus/prometheus.yml'],
      ['test', 'rules', ...cases],
    ]) {
      const { status, output } = promtool(found.path, ...args);
      expect(status, output).toBe(0);
    }
  });
});

const commandsOfConsole = globSync('services/console/src/commands/*.ts', { cwd: root })
  .flatMap((file) => [
    ...readText(file).matchAll(/\.command\('([a-z]+)|const verb of \['([a-z]+)', '([a-z]+)'\]/g),
  ])
  .flatMap(([, ...names]) => names);

function namesOfMetrics(text: string): string[] {
  return text.match(/\bheadwater_\w+(\{[^}]*\})?/g) ?? [];
}
