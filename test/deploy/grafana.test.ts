import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { overview } from '../../deploy/grafana/overview.ts';
import { readText, readYaml, root } from './compose.ts';
import { unknownInQuery } from './queries.ts';

const panels = overview.flatMap(({ question, panels }) => panels.map((panel) => ({ question, ...panel })));

it.each(panels)('$question $title: asks for metrics and labels that exist', ({ queries }) => {
  expect(queries.flatMap(({ expr }) => unknownInQuery(expr))).toEqual([]);
});

it('the dashboards are what the script makes (node deploy/grafana/dashboards.ts)', () => {
  const { status, stderr } = spawnSync(process.execPath, ['deploy/grafana/dashboards.ts', '--check'], {
    cwd: root,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
});

it('panels stand side by side and nowhere above one another', () => {
  interface Placed {
    gridPos: { x: number; y: number; w: number; h: number };
  }
  const { panels } = JSON.parse(readText('deploy/grafana/dashboards/overview.json')) as { panels: Placed[] };
  const taken = new Set<string>();
  for (const { gridPos } of panels) {
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      expect(x).toBeLessThan(24);
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect(taken).not.toContain(`${x} ${y}`);
        taken.add(`${x} ${y}`);
      }
    }
  }
});

it('the data source that the panels name is provisioned', () => {
  const { datasources } = readYaml<{ datasources: { uid: string; url: string }[] }>(
    'deploy/grafana/provisioning/datasources/prometheus.yml',
  );
  expect(datasources).toMatchObject([{ uid: 'prometheus', url: 'http://prometheus:9090' }]);
});
