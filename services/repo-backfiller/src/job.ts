import { decodeRepoJob, InvalidEntryError, type RepoJob } from '@headwater/events';

/** DIDs that may be noted as unavailable; whether they are of a method that we can resolve is another question. */
const DID = /^did:[a-z]+:[a-zA-Z0-9._:%-]{0,500}[a-zA-Z0-9._-]$/;
const STATUS = /^[a-zA-Z-]{1,64}$/;

/**
 * An entry of `repo_backfill`, with nothing in it that PostgreSQL could refuse.
 *
 * @throws InvalidEntryError
 */
export function decodeJob(fields: Record<string, string | Buffer>): RepoJob {
  const { status, look, ...rest } = decodeRepoJob(fields);
  const job: RepoJob = Number.isSafeInteger(look) ? { ...rest, look: look! } : rest;
  if (!DID.test(job.did)) throw new InvalidEntryError('bad-field', '`did` should be a DID');
  return typeof status === 'string' && STATUS.test(status) ? { ...job, status } : job;
}
