import { IdentityError } from './errors.ts';
import { isHandle } from './handle-syntax.ts';
import { didKeyOf } from './key.ts';

/** What the pipeline needs of a DID document. */
export interface Identity {
  did: string;
  /** Origin of the account's PDS, without a trailing slash. Absent: the account has none. */
  pds?: string;
  /** The key that signs the account's commits, as did:key. */
  signingKey?: string;
  /** The handle that the document claims: not verified. Lower case. */
  handle?: string;
  /** Origin of the labeler's service, if the account is one. */
  labeler?: string;
  /** The key that signs its labels, as did:key. */
  labelKey?: string;
}

type Shape = Record<string, unknown>;
const MAX_ITEMS = 100;

/**
 * Reads a DID document by the AT Protocol's rules (first matching entry wins;
 * ids may be relative or absolute). Parts that are absent or unusable are left
 * out; a document that is not the DID's own or not of its shape is refused.
 *
 * @throws IdentityError `bad-document`
 */
export function parseDocument(did: string, document: unknown): Identity {
  const doc = asObject(document);
  if (!doc) bad(did, 'the DID document is not an object');
  if (doc.id !== did) bad(did, 'the DID document is about another DID');
  const services = listOf(did, doc, 'service');
  const methods = listOf(did, doc, 'verificationMethod');
  const identity: Identity = { did };
  const add = (name: keyof Identity, value: string | undefined) => {
    if (value !== undefined) identity[name] = value;
  };
  add('pds', endpointOf(did, services, '#atproto_pds', 'AtprotoPersonalDataServer'));
  add('signingKey', keyOf(did, methods, '#atproto'));
  add('handle', handleOf(doc.alsoKnownAs));
  add('labeler', endpointOf(did, services, '#atproto_labeler', 'AtprotoLabeler'));
  add('labelKey', keyOf(did, methods, '#atproto_label'));
  return identity;
}

function listOf(did: string, doc: Shape, name: string): Shape[] {
  const value = doc[name];
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) bad(did, `\`${name}\` of the DID document is not a list`);
  return (value as unknown[])
    .slice(0, MAX_ITEMS)
    .map(asObject)
    .filter((item) => item !== undefined);
}

function byId(did: string, items: Shape[], fragment: string): Shape | undefined {
  return items.find((item) => item.id === fragment || item.id === did + fragment);
}

function endpointOf(did: string, services: Shape[], fragment: string, type: string): string | undefined {
  const service = byId(did, services, fragment);
  if (!service || service.type !== type || typeof service.serviceEndpoint !== 'string') return undefined;
  return originOf(service.serviceEndpoint);
}

/** An http(s) origin; undefined when the text is anything more or less. */
function originOf(endpoint: string): string | undefined {
  const url = endpoint.length > 1024 ? null : URL.parse(endpoint);
  if (url === null) return undefined;
  const bare = url.pathname === '/' && !url.search && !url.hash && !url.username && !url.password;
  return bare && (url.protocol === 'https:' || url.protocol === 'http:') ? url.origin : undefined;
}

function keyOf(did: string, methods: Shape[], fragment: string): string | undefined {
  const method = byId(did, methods, fragment);
  if (!method || (method.controller !== undefined && method.controller !== did)) return undefined;
  return didKeyOf(method);
}

function handleOf(alsoKnownAs: unknown): string | undefined {
  if (!Array.isArray(alsoKnownAs)) return undefined;
  const first = alsoKnownAs.find((uri) => typeof uri === 'string' && uri.startsWith('at://'));
  const handle = first?.slice('at://'.length).toLowerCase();
  return handle && isHandle(handle) ? handle : undefined;
}

function asObject(value: unknown): Shape | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Shape) : undefined;
}

function bad(did: string, message: string): never {
  throw new IdentityError('bad-document', did, message);
}
