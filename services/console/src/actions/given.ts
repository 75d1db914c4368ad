/** Reads what a request gives to an action. */
import { pausables } from '@headwater/streams';
import { CommandError } from '../errors.ts';
import { letterStreams } from '../page/streams.ts';
import type { Standing } from './pauses.ts';

export type Given = Record<string, unknown>;

/** Letters put back or discarded at once. */
export const mostLetters = 5000;

export function textOf(given: Given, name: string): string {
  const value = given[name];
  if (typeof value !== 'string' || value.trim() === '' || value.length > 2048) {
    throw new CommandError(`${name} is missing.`);
  }
  return value.trim();
}

export function letterStream(given: Given): string {
  const stream = textOf(given, 'stream');
  if (!letterStreams.some((name) => name === stream)) throw new CommandError(`${stream} is no stream.`);
  return stream;
}

export function idsOf({ ids }: Given): string[] | undefined {
  if (ids === undefined) return undefined;
  const good = Array.isArray(ids) && ids.length <= mostLetters && ids.every((id) => /^\d+-\d+$/.test(id));
  if (!good) throw new CommandError('ids should be a list of letters.');
  return ids;
}

export function didOf(given: Given): string {
  const did = textOf(given, 'did');
  if (!/^did:(plc|web):[a-zA-Z0-9._:%-]{1,500}$/.test(did)) throw new CommandError(`${did} is not a DID.`);
  return did;
}

export function feedOf(given: Given): 'firehose_live' | 'label_live' {
  const stream = textOf(given, 'stream');
  if (stream !== 'firehose_live' && stream !== 'label_live') {
    throw new CommandError('Only live streams have a cursor to set back.');
  }
  return stream;
}

/** A service, or a host. */
export function standingOf(given: Given): Standing {
  if (given['host'] !== undefined) return { host: textOf(given, 'host') };
  const wanted = textOf(given, 'service');
  const service = pausables.find((name) => name === wanted);
  if (!service) throw new CommandError('There is no such service.');
  return { service };
}
