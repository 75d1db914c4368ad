import type { KnownRev } from '@headwater/database/fetches';
import type { RepoJob } from '@headwater/events';
import type { Outcome } from './outcome.ts';

/** How much a job insists. */
export interface Need {
  /** Fetch although what is stored is not older. */
  fetch: boolean;
  /** Compare with the rows although this very rev is complete. */
  compare: boolean;
}

/**
 * An operator's force means everything. A repo found out of step is fetched
 * where nobody knows its rev; where its rows are doubted it is also compared.
 */
export function needOf({ force, reason, rev }: RepoJob, always: boolean): Need {
  if (always || force) return { fetch: true, compare: true };
  const blind = rev === '';
  return { fetch: blind && (reason === 'gap' || reason === 'desync'), compare: blind && reason === 'desync' };
}

/** Whether what is stored, or on its way, is not older than a rev that a host names. */
export function covers(known: KnownRev | undefined, rev: string): Outcome | undefined {
  if (!known || known.gap) return undefined;
  const { floor, head, state } = known;
  if (state === 'complete' && ((floor ?? '') >= rev || (head ?? '') >= rev)) return { end: 'unchanged' };
  return state === 'sent' && (floor ?? '') >= rev ? { end: 'on-its-way' } : undefined;
}

/** Whether an inactive account is known as such: it is listed again with every enumeration. */
export function isNoted(known: KnownRev | undefined, status: string): boolean {
  return known?.state === 'unavailable' && known.reason === status && known.accountStatus === status;
}
