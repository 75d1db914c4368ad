import { encodeRepoJob } from '@headwater/events';
import {
  dead,
  keysOf,
  type Pausable,
  Producer,
  pausables,
  pause,
  type Redis,
  readCursor,
  resume,
  writeCursor,
} from '@headwater/streams';
import { type Parts, verdictOf } from '../commands/verify.ts';
import { CommandError } from '../errors.ts';
import { letterStreams } from './streams.ts';

export type Given = Record<string, unknown>;

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

/** Letters put back or discarded at once. */
const mostLetters = 5000;

const actions: Action[] = [
  {
    name: 'requeue',
    subject: lettersOf,
    run: (given, tools) => moveLetters('requeue', given, tools),
  },
  {
    name: 'discard',
    subject: lettersOf,
    run: (given, tools) => moveLetters('discard', given, tools),
  },
  { name: 'backfill', subject: didOf, run: backfill },
  { name: 'verify', subject: didOf, run: verify },
  { name: 'unpark', subject: (given) => textOf(given, 'host'), run: unpark },
  { name: 'pause', subject: serviceOf, run: pauseService },
  { name: 'resume', subject: serviceOf, run: resumeService },
  { name: 'rewind', subject: (given) => `${feedOf(given)} ${textOf(given, 'host')}`, run: rewind },
];

/** The action of this name. */
export function actionNamed(name: string): Action | undefined {
  return actions.find((action) => action.name === name);
}

async function moveLetters(verb: 'requeue' | 'discard', given: Given, { redis }: Tools): Promise<string> {
  const stream = letterStream(given);
  const ids = idsOf(given) ?? (await idsOfReason(redis, stream, textOf(given, 'reason')));
  const moved = await dead[verb](redis, stream, ids);
  const done = verb === 'requeue' ? `put back into ${stream}` : `of ${stream} discarded`;
  const left = ids.length === mostLetters ? '; there may be more' : '';
  return `${moved} ${moved === 1 ? 'letter' : 'letters'} ${done}${left}.`;
}

async function idsOfReason(redis: Redis, stream: string, reason: string): Promise<string[]> {
  const { letters } = await dead.list(redis, stream, { reason, count: mostLetters });
  return letters.map(({ id }) => id);
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

async function unpark(given: Given, { redis }: Tools): Promise<string> {
  const host = textOf(given, 'host');
  await redis.del(`repo_backfill:host:${host}`);
  const was = await redis.zrem('repo_backfill:parked', host);
  if (was === 0) throw new CommandError(`${host} is not parked (any more).`);
  return `${host} is asked again; its repos come back as they fall due.`;
}

async function pauseService(given: Given, { redis }: Tools): Promise<string> {
  const { why } = given;
  const reason = typeof why === 'string' && why !== '' ? why.slice(0, 500) : null;
  await pause(redis, serviceOf(given), { by: 'status page', reason });
  return `${serviceOf(given)} finishes what it has in hand and then stands still.`;
}

async function resumeService(given: Given, { redis }: Tools): Promise<string> {
  if (!(await resume(redis, serviceOf(given)))) throw new CommandError(`${serviceOf(given)} is not paused.`);
  return `${serviceOf(given)} goes on.`;
}

/** A running ingester would write its own cursor over it with the next batch. */
async function rewind(given: Given, { redis }: Tools): Promise<string> {
  const [stream, host, to] = [feedOf(given), textOf(given, 'host'), textOf(given, 'cursor')];
  if (textOf(given, 'confirm') !== host) throw new CommandError('Type the host again to confirm.');
  if (!/^\d{1,16}$/.test(to)) throw new CommandError('A cursor is a whole number.');
  if ((await redis.exists(keysOf(redis, stream).beside('lease', host))) === 1) {
    const service = stream === 'firehose_live' ? 'ingester-firehose' : 'ingester-labels';
    throw new CommandError(`An ingester follows ${host} and would write over it: pause ${service} first.`);
  }
  const from = await readCursor(redis, stream, host);
  if (from === null) throw new CommandError(`${stream} has no cursor for ${host}.`);
  await writeCursor(redis, stream, host, to);
  return `The cursor of ${host} stands at ${to}; it was ${from}.`;
}

function textOf(given: Given, name: string): string {
  const value = given[name];
  if (typeof value !== 'string' || value.trim() === '' || value.length > 2048) {
    throw new CommandError(`${name} is missing.`);
  }
  return value.trim();
}

function letterStream(given: Given): string {
  const stream = textOf(given, 'stream');
  if (!letterStreams.some((name) => name === stream)) throw new CommandError(`${stream} is no stream.`);
  return stream;
}

function idsOf({ ids }: Given): string[] | undefined {
  if (ids === undefined) return undefined;
  const good = Array.isArray(ids) && ids.length <= mostLetters && ids.every((id) => /^\d+-\d+$/.test(id));
  if (!good) throw new CommandError('ids should be a list of letters.');
  return ids;
}

function lettersOf(given: Given): string {
  const ids = idsOf(given);
  const which = ids ? ids.slice(0, 20).join(' ') : `with reason ${textOf(given, 'reason')}`;
  return `${letterStream(given)}: ${which}`;
}

function didOf(given: Given): string {
  const did = textOf(given, 'did');
  if (!/^did:(plc|web):[a-zA-Z0-9._:%-]{1,500}$/.test(did)) throw new CommandError(`${did} is not a DID.`);
  return did;
}

function serviceOf(given: Given): Pausable {
  const wanted = textOf(given, 'service');
  const service = pausables.find((name) => name === wanted);
  if (!service) throw new CommandError('There is no such service.');
  return service;
}

function feedOf(given: Given): 'firehose_live' | 'label_live' {
  const stream = textOf(given, 'stream');
  if (stream !== 'firehose_live' && stream !== 'label_live') {
    throw new CommandError('Only live streams have a cursor to set back.');
  }
  return stream;
}
