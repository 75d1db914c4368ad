import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { nodeLimits } from '@headwater/local';
import { createLogger, Metrics, startOpsServer } from '@headwater/ops';
import { expect, it } from 'vitest';
import { readText, root } from './compose.ts';
import { imageEnvironment } from './composition.ts';

const imports = /(?:^|\s)(?:from|import)\s*\(?\s*'([^'.][^']*)'/gm;

it('what runs in the image imports only what its packages depend on', () => {
  const files = globSync('{packages,services}/*/src/**/*.ts', { cwd: root }).filter(
    (file) => !/\.test\.ts$|\/testing|^packages\/local\//.test(file),
  );
  const missing = files.flatMap((file) => {
    const manifest = JSON.parse(readText(join(...file.split('/').slice(0, 2), 'package.json')));
    const usable = new Set([manifest.name, ...Object.keys(manifest.dependencies ?? {}), ...builtinModules]);
    return [...readText(file).matchAll(imports)]
      .map(([, name]) => packageOf(name!))
      .filter((name) => !name.startsWith('node:') && !usable.has(name))
      .map((name) => `${file}: ${name}`);
  });
  expect(files.length).toBeGreaterThan(100);
  expect(missing).toEqual([]);
});

it('has the limits of memory that tests and benches run with', () => {
  expect(imageEnvironment()['NODE_OPTIONS']).toBe(nodeLimits.join(' '));
});

it('the probe succeeds on a living process and fails on none', async () => {
  const server = await startOpsServer({
    port: 0,
    host: '127.0.0.1',
    metrics: new Metrics('test'),
    log: createLogger('test', 'silent'),
    // Dependencies that are away are none of the probe's business.
    ready: async () => ({ redis: 'refuses connections' }),
  });
  expect(await probe(server.port)).toBe(0);
  await server[Symbol.asyncDispose]();
  expect(await probe(server.port)).toBe(1);
});

async function probe(port: number): Promise<number> {
  const child = spawn(process.execPath, ['deploy/healthcheck.mjs', String(port)], {
    cwd: root,
    stdio: 'ignore',
  });
  const [code] = (await once(child, 'exit')) as [number];
  return code;
}

/** `@scope/name/sub` → `@scope/name`. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
