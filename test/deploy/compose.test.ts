import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { knownVariables, loadSettings } from '@headwater/ops';
import { describe, expect, it } from 'vitest';
import { durationMs, readCompose, readText, root, type Service, sizeBytes } from './compose.ts';

const compose = readCompose();
const services = Object.entries(compose.services);
const ours = services.filter(([, service]) => service.image.startsWith('headwater:'));
/** What ends by itself has no health. */
const oneShots = ['migrate', 'headwater'];

describe('every service of docker-compose.prod.yml', () => {
  it.each(services)('%s is bounded, watched and locked in', (name, service) => {
    expect(sizeBytes(service.mem_limit!), 'memory').toBeGreaterThan(0);
    expect(service.restart).toBe(oneShots.includes(name) ? 'no' : 'unless-stopped');
    if (!oneShots.includes(name)) expect(service.healthcheck?.test.length).toBeGreaterThan(1);
    expect(service).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      logging: { driver: 'json-file', options: { 'max-size': '20m', 'max-file': '5' } },
    });
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  it.each(services)('%s names what exists', (_, service) => {
    for (const secret of service.secrets ?? []) expect(compose.secrets).toHaveProperty(secret);
    for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
      expect(compose.services).toHaveProperty(other);
      const expected = other === 'migrate' ? 'service_completed_successfully' : 'service_healthy';
      expect(condition).toBe(expected);
    }
    for (const volume of service.volumes ?? []) {
      const source = volume.split(':')[0]!;
      if (source.startsWith('./')) expect(existsSync(join(root, source)), source).toBe(true);
      else if (!source.startsWith('/')) expect(compose.volumes).toHaveProperty(source);
    }
  });

  it('has no password in it: secrets are files that the script makes', () => {
    expect(readText('docker-compose.prod.yml')).not.toMatch(/PASSWORD: |requirepass \w|:\/\/[^ ]*:[^ ]*@/);
    const script = readText('deploy/make-secrets.sh');
    for (const { file } of Object.values(compose.secrets)) {
      expect(script).toContain(`made ${file.split('/').at(-1)} `);
    }
  });
});

describe("Headwater's own services", () => {
  const known = knownVariables();
  const drainMs = loadSettings('console', { REDIS_URL: 'redis://r', DATABASE_URL: 'postgres://d' }).drainMs;

  it.each(ours)('%s: one image, settings that exist, time to drain', (_, service) => {
    expect(service).toMatchObject({
      build: { context: '.', dockerfile: 'deploy/Dockerfile' },
      init: true,
      env_file: [{ path: 'headwater.env', required: false }],
    });
    for (const variable of Object.keys(service.environment!)) expect(known).toContain(variable);
    expect(durationMs(service.stop_grace_period!)).toBeGreaterThan(drainMs + 10_000);
  });

  it.each(ours)('%s can load its settings and its program exists', (_, service) => {
    const program = [...(service.entrypoint ?? []), ...(service.command ?? [])][1]!;
    expect(existsSync(join(root, program)), program).toBe(true);
    expect(() => loadSettings(settingsName(program), environmentOf(service))).not.toThrow();
  });

  it('is probed on the port that each listens on', () => {
    const ports = { ingester: '9101', 'repo-backfiller': '9102', indexer: '9103', console: '9104' };
    for (const [name, service] of ours.filter(([each]) => !oneShots.includes(each))) {
      const program = Object.keys(ports).find((each) => service.command![1]!.includes(`/${each}/`));
      const wanted = ['CMD', 'node', 'deploy/healthcheck.mjs', ports[program as 'indexer']];
      expect(service.healthcheck!.test, name).toEqual(wanted);
    }
  });

  it('reads every stream', () => {
    const streams = ours
      .filter(([, service]) => service.command?.[1]?.includes('/indexer/'))
      .flatMap(([, service]) => {
        const { mode, streams } = loadSettings('indexer', environmentOf(service));
        return mode === 'all' ? streams : mode === 'backfill' ? ['firehose_backfill'] : [`?${mode}`];
      });
    const all = loadSettings('indexer', { REDIS_URL: 'redis://r', DATABASE_URL: 'postgres://d' }).streams;
    expect(streams.sort()).toEqual([...all].sort());
  });

  it('runs any number of copies: none has a port, a container name or a consumer name of its own', () => {
    for (const [name, service] of ours) {
      // The status page alone is for people: one copy, on loopback.
      if (name !== 'console') expect(service.ports).toBeUndefined();
      expect(service).not.toHaveProperty('container_name');
      const variables = Object.keys(service.environment!);
      expect(variables).not.toContain('INDEXER_CONSUMER');
      expect(variables).not.toContain('BACKFILLER_CONSUMER_NAME');
    }
  });
});

describe('Redis', () => {
  const conf = new Map(
    readText('deploy/redis/redis.conf')
      .split('\n')
      .filter((line) => /^[a-z]/.test(line))
      .map((line) => [line.split(' ')[0]!, line.split(' ').slice(1).join(' ')] as const),
  );

  it('keeps what it takes and deletes nothing by itself', () => {
    expect(conf.get('appendonly')).toBe('yes');
    expect(conf.get('appendfsync')).toBe('everysec');
    expect(conf.get('maxmemory-policy')).toBe('noeviction');
  });

  it('has room for a fork, and the marks of the large streams fit below its memory', () => {
    const maxmemory = sizeBytes(conf.get('maxmemory')!);
    expect(sizeBytes(compose.services['redis']!.mem_limit!)).toBeGreaterThan(maxmemory * 1.5);
    const urls = { REDIS_URL: 'redis://r', DATABASE_URL: 'postgres://d' };
    const marks =
      loadSettings('ingester', urls).highWaterBytes + loadSettings('repo-backfiller', urls).highWaterBytes;
    expect(marks).toBeLessThan(maxmemory * 0.85);
  });
});

it('the image has what the services import, and no tests', () => {
  const ignored = readText('.dockerignore').split('\n');
  for (const pattern of ['*', '!packages', '!services', '**/*.test.ts', '**/testing', '**/node_modules']) {
    expect(ignored).toContain(pattern);
  }
  expect(readText('deploy/Dockerfile')).toMatch(/^USER node$/m);
});

it('has no word in it that Compose does not know', () => {
  const known: Record<string, string[]> = {
    file: ['name', 'services', 'secrets', 'volumes'],
    service:
      'build cap_drop command depends_on entrypoint env_file environment healthcheck image init logging mem_limit pid ports profiles read_only restart secrets security_opt shm_size stop_grace_period tmpfs user volumes'.split(
        ' ',
      ),
    healthcheck: ['test', 'interval', 'timeout', 'retries', 'start_period'],
    logging: ['driver', 'options'],
    build: ['context', 'dockerfile'],
  };
  const strange = (kind: string, at: string, value: object | undefined) =>
    Object.keys(value ?? {})
      .filter((word) => !known[kind]!.includes(word) && !word.startsWith('x-'))
      .map((word) => `${at}: ${word}`);
  const found = services.flatMap(([name, service]) => [
    ...strange('service', name, service),
    ...strange('healthcheck', name, service.healthcheck),
    ...strange('logging', name, service.logging),
    ...strange('build', name, service.build),
  ]);
  expect([...strange('file', 'file', compose), ...found]).toEqual([]);
});

// Debian 12 has no Compose of this age: where the client is there, it has the last word.
const hasCompose = spawnSync('docker', ['compose', 'version']).status === 0;
if (hasCompose)
  it('docker compose accepts the file', () => {
    const args = ['compose', '-f', 'docker-compose.prod.yml', '--profile', '*', 'config', '-q'];
    const { status, stderr } = spawnSync('docker', args, { cwd: root, encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

function settingsName(program: string) {
  return (
    (['ingester', 'repo-backfiller', 'indexer'] as const).find((name) => program.includes(`/${name}/`)) ??
    'console'
  );
}

/** As in a container: secrets are files there, values here. */
function environmentOf(service: Service): Record<string, string> {
  const values = Object.entries(service.environment!).filter(([name]) => !name.endsWith('_FILE'));
  return { ...Object.fromEntries(values), REDIS_URL: 'redis://r', DATABASE_URL: 'postgres://d' };
}
