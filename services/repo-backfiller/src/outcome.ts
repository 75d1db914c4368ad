import { IdentityError } from '@headwater/identity';
import { TransientError } from '@headwater/ops';
import { XrpcError } from '@headwater/xrpc';
import type { LaneOutcome } from './lanes/host-lanes.ts';

/** How the look at one repo ended. */
export type Outcome =
  /** All differences are in the stream, under this name. */
  | { end: 'sent'; fetch: string }
  /** Nothing to fetch: what is stored (or on its way) is not older than what was listed or fetched. */
  | { end: 'unchanged' | 'on-its-way' | 'older' }
  /** The host says that the account is not active: noted, looked at again when it is listed as active. */
  | { end: 'inactive' }
  /** A terminal answer: noted. */
  | { end: 'unavailable'; reason: string }
  /** Not now, through no fault of the repo's. */
  | { end: 'later'; reason: string; afterMs: number };

/** Reasons for which an identity will not get better by asking again soon. */
export function isTerminal(error: unknown): error is IdentityError {
  return error instanceof IdentityError && error.reason !== 'unavailable';
}

/** What a failed request says about its host. */
export function laneOutcomeOf(error: unknown): LaneOutcome {
  if (!(error instanceof XrpcError)) return 'none';
  switch (error.kind) {
    case 'rate-limited':
      return 'limited';
    case 'too-large':
    case 'refused-address':
    case 'terminal':
      return 'none';
    case 'http':
      // An answer by the protocol's rules is of a host that works.
      return error.errorName !== undefined && (error.status ?? 500) < 500 ? 'none' : 'failed';
    default:
      return 'failed';
  }
}

/** A failure's place in metrics and dead letters: one of a small set. */
export function reasonOf(error: unknown): string {
  if (error instanceof XrpcError) return error.kind;
  if (error instanceof IdentityError) return `identity-${error.reason}`;
  const reason = (error as { reason?: unknown } | null)?.reason;
  if (typeof reason === 'string') return reason;
  return error instanceof TransientError ? 'transient' : 'error';
}
