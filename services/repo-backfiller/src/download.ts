import type { IdentityResolver, RepoIdentity } from '@headwater/identity';
import { TransientError } from '@headwater/ops';
import { openRepo, RepoError, type RepoSnapshot } from '@headwater/repo';
import { getRepoStream, type XrpcClient } from '@headwater/xrpc';
import type { Patience } from './patience.ts';

export interface DownloadLimits {
  maxRepoBytes: number;
  minBytesPerSecond: number;
  /** How long a host may stay below that in one stretch, in ms. */
  graceMs: number;
  deadlineMs: number;
  tmpFolder: string;
}

export interface Download {
  client: XrpcClient;
  identities: IdentityResolver;
  identity: RepoIdentity;
  limits: DownloadLimits;
  /** Up to how many bytes the CAR stays in memory. */
  memoryBytes: number;
  patience: Patience;
  signal: AbortSignal;
}

/**
 * Fetches an account's repo from its PDS and verifies it whole, as the bytes
 * come. A signature that does not verify is tried once more with a fresh DID
 * document: keys rotate, and nobody has to tell us.
 *
 * @throws XrpcError, RepoError, IdentityError
 */
export async function download(options: Download): Promise<RepoSnapshot> {
  const { client, identity, limits, memoryBytes, patience, signal } = options;
  const { did, pds } = identity;
  const { maxRepoBytes: maxBytes, minBytesPerSecond, graceMs, deadlineMs } = limits;
  const pace = { maxBytes, minBytesPerSecond, graceMs, deadlineMs };
  const { body } = await patience.wait(getRepoStream(client, pds, did, { ...pace, signal }));
  const { tmpFolder: tmpDir } = limits;
  const open = { did, maxBytes, spoolAboveBytes: memoryBytes, tmpDir, signal };
  const snapshot = await openRepo(patience.body(body), open).catch((error) => {
    throw isDisk(error)
      ? new TransientError(`the temporary folder: ${error.message}`, { cause: error })
      : error;
  });
  try {
    if (!isSigned(snapshot, identity.signingKey)) await verifyAfresh(snapshot, options);
    return snapshot;
  } catch (error) {
    await snapshot[Symbol.asyncDispose]();
    throw error;
  }
}

async function verifyAfresh(snapshot: RepoSnapshot, { identities, identity }: Download): Promise<void> {
  const { did, signingKey } = identity;
  const fresh = await identities.refreshRepo(did);
  if (fresh.signingKey !== signingKey && isSigned(snapshot, fresh.signingKey)) return;
  throw new RepoError('bad-signature', `the commit of ${did} is not signed with the key of its DID document`);
}

function isSigned(snapshot: RepoSnapshot, key: string): boolean {
  try {
    return snapshot.verify(key);
  } catch (error) {
    // A key of no use verifies nothing; a fresh document may have another.
    if (error instanceof RepoError && error.reason === 'bad-key') return false;
    throw error;
  }
}

/** Full, read-only or broken: our disk, not the repo. Errors of connections are XrpcErrors here. */
function isDisk(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).errno === 'number';
}
