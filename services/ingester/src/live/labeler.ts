import type { IdentityResolver } from '@headwater/identity';
import { hostUrl, type XrpcClient, XrpcError } from '@headwater/xrpc';
import { isDid } from './feed.ts';

/** A labeler whose DID and endpoint agree with each other. */
export interface Labeler {
  did: string;
  /** Where it is reached, as hostUrl reads it. */
  address: string;
  /** The operator gave the address; otherwise its DID document did. */
  trusted: boolean;
  /** The key that signs its labels, as did:key. */
  key: string | undefined;
}

/** The labeler can't be followed: what it says of itself is missing or contradicts its DID document. */
export class LabelerError extends Error {
  override name = 'LabelerError';
  labeler: string;
  constructor(labeler: string, why: string, options?: ErrorOptions) {
    super(`labeler ${labeler}: ${why}`, options);
    this.labeler = labeler;
  }
}

interface Network {
  client: XrpcClient;
  identities: Pick<IdentityResolver, 'resolve'>;
  signal: AbortSignal;
}

/**
 * Finds out whose labels a labeler may send. Given a DID, its document names
 * the endpoint. Given a host, the host names its DID (did:web, or
 * `/.well-known/ozone-metadata.json`), and the DID's document must name the
 * host in turn: else any host could label in anybody's name.
 *
 * @param name DID, host or URL, as in the settings
 * @throws LabelerError, IdentityError, XrpcError
 */
export async function resolveLabeler(name: string, network: Network): Promise<Labeler> {
  if (isDid(name)) {
    const { labeler, labelKey: key } = await network.identities.resolve(name);
    if (labeler === undefined) throw new LabelerError(name, 'its DID document names no #atproto_labeler');
    return { did: name, address: labeler, trusted: false, key };
  }
  const url = hostUrl(name);
  const did = await didOfHost(name, url, network);
  const { labeler, labelKey: key } = await network.identities.resolve(did);
  if (labeler === undefined || new URL(labeler).host !== url.host) {
    const why = `it calls itself ${did}, whose document names ${labeler ?? 'no labeler'}; set the DID instead of the host`;
    throw new LabelerError(name, why);
  }
  return { did, address: name, trusted: true, key };
}

async function didOfHost(name: string, url: URL, { client, signal }: Network): Promise<string> {
  const options = { trusted: true, signal, maxBytes: 65_536, deadlineMs: 15_000 };
  for (const [path, field] of [
    ['.well-known/ozone-metadata.json', 'did'],
    ['.well-known/did.json', 'id'],
  ] as const) {
    try {
      const answer = (await client.getJson(new URL(path, url), options)) as Record<string, unknown> | null;
      const did = answer?.[field];
      if (typeof did === 'string' && isDid(did)) return did;
    } catch (err) {
      // Only an answer tells that there is nothing; a host that is down is tried again later.
      if (!(err instanceof XrpcError) || (err.status === undefined && err.kind !== 'bad-answer')) throw err;
    }
  }
  throw new LabelerError(name, 'it does not say which DID it is; set its DID instead of the host');
}
