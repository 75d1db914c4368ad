/** What the status page does for an operator, by the same functions as the command. */
import { encodeRepoJob } from '@headwater/events';
import { keysOf, Producer, type Redis, readCursor } from '@headwater/streams';
import { CommandError } from '../errors.ts';
import { type Parts, verdictOf } from '../verdict.ts';
import { setCursor } from './cursors.ts';
import { didOf, feedOf, type Given, idsOf, letterStream, mostLetters, standingOf, textOf } from './given.ts';
import { moveLetters } from './letters.ts';
import { goOn, standStill, unpark } from './pauses.ts';

export interface Tools extends Parts {
  redis: Redis;
}

/** Something that the page does for an operator. */
export interface Action {
  name: string;
  /** What it is done to, for the audit. @throws CommandError where what is given makes no sense */
  subject(given: Given): string;
  /** @returns what came of it, in a sentence */
  run(given: Given, tools: Tools): Promise<string>;
}

const actions: Action[] = [
  {
    name: 'requeue',
    subject: lettersOf,
    run: (given, tools) => letters('requeue', given, tools),
  },
  {
    name: 'discard',
    subject: lettersOf,
    run: (given, tools) => letters('discard', given, tools),
  },
  { name: 'backfill', subject: didOf, run: backfill },
  { name: 'verify', subject: didOf, run: verify },
  {
    name: 'unpark',
    subject: (given) => textOf(given, 'host'),
    run: async (given, { redis }) => {
      const host = textOf(given, 'host');
      return sentence(await unpark(redis, host), `${host} is not parked (any more).`);
    },
  },
  {
    name: 'pause',
    subject: standingName,
    run: async (given, { redis }) =>
      sentence(await standStill(redis, standingOf(given), { by: 'status page', reason: whyOf(given) })),
  },
  {
    name: 'resume',
    subject: standingName,
    run: async (given, { redis }) =>
      sentence(await goOn(redis, standingOf(given)), `${standingName(given)} is not paused.`),
  },
  { name: 'rewind', subject: (given) => `${feedOf(given)} ${textOf(given, 'host')}`, run: rewind },
];

/** The action of this name. */
export function actionNamed(name: string): Action | undefined {
  return actions.find((action) => action.name === name);
}

/** @throws CommandError where nothing was done */
function sentence(done: string | undefined, otherwise = ''): string {
  if (done === undefined) throw new CommandError(otherwise);
  return `${done}.`;
}

function standingName(given: Given): string {
  const what = standingOf(given);
  return 'service' in what ? what.service : what.host;
}

function whyOf({ why }: Given): string | null {
  return typeof why === 'string' && why !== '' ? why.slice(0, 500) : null;
}

async function letters(verb: 'requeue' | 'discard', given: Given, { redis }: Tools): Promise<string> {
  const stream = letterStream(given);
  const ids = idsOf(given);
  const reason = ids ? undefined : textOf(given, 'reason');
  const moved = await moveLetters(redis, verb, { stream, ids, reason, most: mostLetters });
  const done = verb === 'requeue' ? `put back into ${stream}` : `of ${stream} discarded`;
  const left = moved === mostLetters ? '; there may be more' : '';
  return `${moved} ${moved === 1 ? 'letter' : 'letters'} ${done}${left}.`;
}

async function backfill(given: Given, { redis }: Tools): Promise<string> {
  const did = didOf(given);
  const job = { did, host: '', rev: '', active: true, reason: 'operator', force: true };
  const { urgent } = keysOf(redis, 'repo_backfill');
  await new Producer(redis, urgent, {}).append([encodeRepoJob(job)]);
  return `${did} is fetched and compared next.`;
}

async function verify(given: Given, tools: Tools): Promise<string> {
  const { equal, newer, differences, problem, rev } = await verdictOf(didOf(given), tools);
  if (problem !== undefined) throw new CommandError(`Could not be compared: ${problem}`);
  const found = differences!.slice(0, 5).map(({ kind, path }) => `${kind} ${path}`);
  if (found.length === 0) return `Equal: ${equal} records at rev ${rev}, ${newer} newer ones of ours.`;
  const more = differences!.length > found.length ? ', …' : '';
  return `${differences!.length} differences at rev ${rev}: ${found.join(', ')}${more}.`;
}

async function rewind(given: Given, { redis }: Tools): Promise<string> {
  const [stream, host, to] = [feedOf(given), textOf(given, 'host'), textOf(given, 'cursor')];
  if (textOf(given, 'confirm') !== host) throw new CommandError('Type the host again to confirm.');
  if (!/^\d{1,16}$/.test(to)) throw new CommandError('A cursor is a whole number.');
  if ((await readCursor(redis, stream, host)) === null) {
    throw new CommandError(`${stream} has no cursor for ${host}.`);
  }
  const from = await setCursor(redis, { stream, host, to });
  return `The cursor of ${host} stands at ${to}; it was ${from}.`;
}

function lettersOf(given: Given): string {
  const ids = idsOf(given);
  const which = ids ? ids.slice(0, 20).join(' ') : `with reason ${textOf(given, 'reason')}`;
  return `${letterStream(given)}: ${which}`;
}
