import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { freePort, spawnChild } from '@headwater/local';
import { until } from '../support/wait.ts';
import { type Compose, readCompose, readText, root, type Service } from './compose.ts';
import { Container, type Copy } from './container.ts';

export interface Around {
  /** A folder that stands for the project's: secrets/, headwater.env and the volumes are in it. */
  folder: string;
  /** Ports on loopback of the services that are not ours, by name. */
  ports: Record<string, number>;
  /** What headwater.env says. */
  settings: Record<string, string>;
  /** `--scale`. */
  scale?: Record<string, number>;
}

/**
 * docker-compose.prod.yml brought up without Docker: every service of ours by
 * its own command, environment, secrets, health check, order, restarts and
 * copies. Only what a container has to itself is another one here: the
 * network (loopback, a port for each copy), host names, paths of mounts.
 */
export class Composition {
  readonly containers = new Map<string, Container>();
  readonly compose: Compose = readCompose();
  readonly #around: Around;
  readonly #image = imageEnvironment();

  private constructor(around: Around) {
    this.#around = around;
    makeEnvFile(around);
  }

  /** `docker compose up -d`: resolves when every service has started and, where it has a check, is healthy. */
  static async up(around: Around): Promise<Composition> {
    const self = new Composition(around);
    try {
      await Promise.all(self.#ours().map((name) => self.#start(name)));
      await Promise.all(self.#ours().map((name) => self.#reached(name, 'service_healthy')));
    } catch (error) {
      await self.stop();
      throw error;
    }
    return self;
  }

  /** The copies of a service. */
  copies(name: string): Container[] {
    return [...this.containers.values()].filter(({ copy }) => copy.service === this.compose.services[name]);
  }

  /** What went wrong so far: ends, failed probes. */
  get complaints(): string[] {
    return [...this.containers.values()].flatMap(({ complaints }) => complaints);
  }

  /** `docker compose run --rm NAME ARGS…`; its end. */
  async run(name: string, args: string[]): Promise<{ code: number | null; output: string }> {
    const copy = await this.#copy(name, 'run');
    const [program, ...first] = this.compose.services[name]!.entrypoint!;
    const child = spawnChild(program!, [...first, ...args], { cwd: root, env: copy.env });
    const { code } = await child.exited;
    return { code, output: child.output };
  }

  /** `docker compose stop`. */
  async stop(): Promise<void> {
    await Promise.all([...this.containers.values()].map((container) => container.stop()));
  }

  /** Those of our image that no profile holds back. */
  #ours(): string[] {
    return Object.entries(this.compose.services)
      .filter(([, { image, profiles }]) => image.startsWith('headwater:') && !profiles)
      .map(([name]) => name);
  }

  async #start(name: string): Promise<void> {
    const { depends_on = {} } = this.compose.services[name]!;
    const conditions = Object.entries(depends_on);
    await Promise.all(conditions.map(([other, { condition }]) => this.#reached(other, condition)));
    for (let number = 1; number <= (this.#around.scale?.[name] ?? 1); number++) {
      const copy = await this.#copy(name, `${number}`);
      this.containers.set(copy.name, new Container(copy));
    }
  }

  async #reached(name: string, condition: string): Promise<void> {
    const service = this.compose.services[name]!;
    if (!service.image.startsWith('headwater:')) return this.#answers(name, service);
    await until(`${name} has started`, () => this.copies(name).length > 0);
    if (condition === 'service_completed_successfully') {
      for (const container of this.copies(name)) {
        const { code, signal } = await container.ended;
        if (code !== 0) throw new Error(`${name} ended with ${code ?? signal}\n${container.output}`);
      }
    } else if (service.healthcheck) {
      const say = () => `${name} is healthy\n${this.complaints.join('\n')}\n${this.copies(name)[0]!.output}`;
      await until(say, () => this.copies(name).every(({ health }) => health === 'healthy'));
    }
  }

  /** The health check of a server that runs already, by its own words. */
  async #answers(name: string, service: Service): Promise<void> {
    const probe = this.#probe(service, this.#around.ports[name]!)!;
    const run = () => spawnSync(probe[0]!, probe.slice(1), { encoding: 'utf8' });
    // Where its tools are not at hand there is no more to know than that it was started.
    if ((run().error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return;
    await until(
      () => `${name} is healthy: ${JSON.stringify(run())}`,
      () => run().status === 0,
      20_000,
    );
  }

  async #copy(name: string, number: string): Promise<Copy> {
    const service = this.compose.services[name]!;
    const port = await freePort();
    const env = {
      ...this.#image,
      ...readEnvFile(join(this.#around.folder, 'headwater.env')),
      ...service.environment,
    };
    const local = Object.entries(env).map(([key, value]) => [key, this.#onLoopback(service, value)] as const);
    return {
      name: `${name}-${number}`,
      service,
      command: [...(service.entrypoint ?? []), ...(service.command ?? [])],
      env: {
        // Under pnpm `node` is a shell script that starts it: a signal would end that and leave the service running.
        PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}`,
        ...Object.fromEntries(local),
        METRICS_PORT: `${port}`,
        ...('CONSOLE_PORT' in env && { CONSOLE_PORT: `${await freePort()}` }),
        // In a container host name and process id are the same after a restart; here all share one host name.
        INDEXER_CONSUMER: `${name}-${number}`,
        BACKFILLER_CONSUMER_NAME: `${name}-${number}`,
      },
      probe: this.#probe(service, port),
    };
  }

  /** A health check with the port that it has here. */
  #probe({ healthcheck }: Service, port: number): string[] | undefined {
    if (!healthcheck) return undefined;
    const [kind, ...words] = healthcheck.test;
    const local = words.map((word) => this.#mounted(word.replaceAll('$$', '$')));
    if (kind === 'CMD-SHELL') {
      return ['sh', '-c', local[0]!.replaceAll('redis-cli', `redis-cli -p ${port}`)];
    }
    if (local[0] === 'pg_isready') return [...local, '-p', `${port}`];
    return local.map((word) => (/^\d{4,}$/.test(word) ? `${port}` : word));
  }

  #onLoopback(service: Service, value: string): string {
    if (value === '0.0.0.0') return '127.0.0.1';
    for (const volume of service.volumes ?? []) {
      const [source, target] = volume.split(':');
      if (value !== target && !value.startsWith(`${target}/`)) continue;
      const folder = join(this.#around.folder, 'volumes', source!);
      mkdirSync(folder, { recursive: true });
      return folder + value.slice(target!.length);
    }
    return this.#mounted(value);
  }

  /** Secrets where they are mounted from. */
  #mounted(text: string): string {
    return text.replaceAll(/\/run\/secrets\/(\w+)/g, (_, secret: string) =>
      join(this.#around.folder, this.compose.secrets[secret]!.file),
    );
  }
}

/** What the image sets for everything that runs in it. */
export function imageEnvironment(): Record<string, string> {
  const last = readText('deploy/Dockerfile')
    .split(/^FROM /m)
    .at(-1)!;
  const [, lines] = /^ENV ((?:.*\\\n)*.*)$/m.exec(last)!;
  const pairs = lines!.matchAll(/(\w+)=("[^"]*"|\S+)/g);
  return Object.fromEntries([...pairs].map(([, name, value]) => [name, value!.replaceAll('"', '')]));
}

function makeEnvFile({ folder, settings }: Around): void {
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(join(folder, 'headwater.env'), lines.join(''));
}

function readEnvFile(path: string): Record<string, string> {
  const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean);
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

/** Secrets as an operator makes them. @returns what each says */
export function makeSecrets(folder: string): (name: string) => string {
  cpSync(join(root, 'deploy/make-secrets.sh'), join(folder, 'deploy/make-secrets.sh'));
  const { status, stderr } = spawnSync('sh', [join(folder, 'deploy/make-secrets.sh')], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`make-secrets.sh: ${stderr}`);
  return (name) => readFileSync(join(folder, 'secrets', name), 'utf8').trim();
}

/** Redis's settings of production, as arguments for a server that has its port and folder from elsewhere. */
export function redisSettings(folder: string): string[] {
  const text = readText('deploy/redis/redis.conf')
    .replaceAll(/^(bind|port|dir|save) .*\n/gm, '')
    .replaceAll('/run/secrets/', `${join(folder, 'secrets')}/`);
  writeFileSync(join(folder, 'redis.conf'), text);
  return ['--include', join(folder, 'redis.conf')];
}
