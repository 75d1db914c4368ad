import { type Pausable, pausables, pausedHosts, pausesOf, type Redis } from '@headwater/streams';
import type { Command } from 'commander';
import { onRecord } from '../actions/on-record.ts';
import { goOn, type Standing, standStill } from '../actions/pauses.ts';
import { CommandError } from '../errors.ts';
import { withRedis } from '../open.ts';
import { table } from '../table.ts';

interface Options {
  reason?: string;
  dryRun?: boolean;
}

type Verb = 'pause' | 'resume';

/** `headwater pause | resume`: services stand still, every copy of them, and those that start later too; hosts are left alone. */
export function addPause(program: Command): void {
  for (const verb of ['pause', 'resume'] as const) {
    program
      .command(verb)
      .description(
        verb === 'pause'
          ? 'have a service finish what is in hand and stand still, or a host asked for no repos; alone: what is paused'
          : 'have a service go on, or a host asked again',
      )
      .argument(verb === 'pause' ? '[what]' : '<what>', `${pausables.join(', ')}, all of them, or host`)
      .argument('[name]', 'the host, as in the DID documents of its repos')
      .option('--reason <text>', 'why, for the audit')
      .option('--dry-run', 'only say what would be done')
      .addHelpText(
        'after',
        `\nExamples:\n  headwater ${verb} indexer-backfill --reason "index rebuild"\n  headwater ${verb} host pds.example.com --reason "asked by its operator"`,
      )
      .action((what: string | undefined, name: string | undefined, options: Options) =>
        withRedis(async (redis, settings) => {
          if (what === undefined) return show(redis);
          const wanted = standingsOf(what, name);
          const subject = name === undefined ? what : `host ${name}`;
          if (options.dryRun) return console.log(`would ${verb} ${wanted.map(nameOf).join(', ')}`);
          const act = { action: verb, subject, reason: options.reason };
          console.log(await onRecord(settings, act, () => turn(verb, redis, wanted, options.reason ?? null)));
        }),
      );
  }
}

function standingsOf(what: string, name: string | undefined): Standing[] {
  if (what === 'host') {
    if (name === undefined) throw new CommandError('say which host: headwater pause host pds.example.com');
    return [{ host: name }];
  }
  if (name !== undefined)
    throw new CommandError(`${what} takes no name; hosts: headwater pause host ${name}`);
  if (what === 'all') return pausables.map((service) => ({ service }));
  const service = pausables.find((one): one is Pausable => one === what);
  if (service === undefined) {
    throw new CommandError(`there is no service ${what}: name one of ${pausables.join(', ')}, all, or host`);
  }
  return [{ service }];
}

function nameOf(what: Standing): string {
  return 'service' in what ? what.service : what.host;
}

async function turn(
  verb: Verb,
  redis: Redis,
  wanted: readonly Standing[],
  reason: string | null,
): Promise<string> {
  const lines: string[] = [];
  for (const what of wanted) {
    if (verb === 'pause') lines.push(await standStill(redis, what, { by: 'headwater command', reason }));
    else lines.push((await goOn(redis, what)) ?? `${nameOf(what)} was not paused`);
  }
  return lines.join('\n');
}

async function show(redis: Redis): Promise<void> {
  const paused = Object.entries({ ...(await pausesOf(redis)), ...(await pausedHosts(redis)) });
  const rows = paused.map(([name, { at, by, reason }]) => [name, at, by, reason]);
  console.log(rows.length === 0 ? 'nothing is paused' : table(['what', 'since', 'by', 'reason'], rows));
}
