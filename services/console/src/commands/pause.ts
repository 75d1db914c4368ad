import { type Pausable, pausables, pause, pausesOf, type Redis, resume } from '@headwater/streams';
import type { Command } from 'commander';
import { onRecord } from '../actions/on-record.ts';
import { CommandError } from '../errors.ts';
import { withRedis } from '../open.ts';
import { table } from '../table.ts';

interface Options {
  reason?: string;
  dryRun?: boolean;
}

/** `headwater pause | resume`: services stand still, every copy of them, and those that start later too. */
export function addPause(program: Command): void {
  for (const verb of ['pause', 'resume'] as const) {
    program
      .command(verb)
      .description(
        verb === 'pause'
          ? 'have a service finish what is in hand and stand still; alone: what stands still'
          : 'have a service go on',
      )
      .argument(verb === 'pause' ? '[service]' : '<service>', `${pausables.join(', ')}, or all`)
      .option('--reason <text>', 'why, for the audit')
      .option('--dry-run', 'only say what would be done')
      .addHelpText('after', `\nExample:\n  headwater ${verb} indexer-backfill --reason "index rebuild"`)
      .action((service: string | undefined, options: Options) =>
        withRedis(async (redis, settings) => {
          if (service === undefined) return show(redis);
          const wanted = servicesOf(service);
          if (options.dryRun) return console.log(`would ${verb} ${wanted.join(', ')}`);
          const act = { action: verb, subject: service, reason: options.reason };
          console.log(await onRecord(settings, act, () => turn(verb, redis, wanted, options.reason ?? null)));
        }),
      );
  }
}

function servicesOf(name: string): readonly Pausable[] {
  if (name === 'all') return pausables;
  const service = pausables.find((one) => one === name);
  if (service === undefined) {
    throw new CommandError(`there is no service ${name}: name one of ${pausables.join(', ')}, or all`);
  }
  return [service];
}

async function turn(
  verb: 'pause' | 'resume',
  redis: Redis,
  services: readonly Pausable[],
  reason: string | null,
): Promise<string> {
  const lines: string[] = [];
  for (const service of services) {
    if (verb === 'pause') {
      await pause(redis, service, { by: 'headwater command', reason });
      lines.push(`${service} finishes what it has in hand and then stands still`);
    } else {
      lines.push((await resume(redis, service)) ? `${service} goes on` : `${service} was not paused`);
    }
  }
  return lines.join('\n');
}

async function show(redis: Redis): Promise<void> {
  const rows = Object.entries(await pausesOf(redis)).map(([name, { at, by, reason }]) => [
    name,
    at,
    by,
    reason,
  ]);
  console.log(rows.length === 0 ? 'nothing is paused' : table(['service', 'since', 'by', 'reason'], rows));
}
