import type { Call, Handler } from '../servers/http.ts';
import { json, type Reply, reply, send } from '../servers/reply.ts';

type Json = Record<string, unknown>;

/** DID documents that are of no use, by name; made from the true one. */
export const DOCUMENT_FAULTS = {
  /** The PDS is on a private address. */
  'did-private': (doc) => json({ ...doc, service: pds('http://169.254.169.254') }),
  'did-private-net': (doc) => json({ ...doc, service: pds('http://10.255.255.1:80') }),
  'did-private-v6': (doc) => json({ ...doc, service: pds('http://[::ffff:10.0.0.1]') }),
  /** Nobody listens there. */
  'did-dead-host': (doc) => json({ ...doc, service: pds('http://127.0.0.1:1') }),
  'did-odd-endpoint': (doc) => json({ ...doc, service: pds('file:///etc/passwd') }),
  'did-no-pds': ({ service: _, ...doc }) => json(doc),
  'did-no-key': ({ verificationMethod: _, ...doc }) => json(doc),
  'did-odd-key': (doc) =>
    json({ ...doc, verificationMethod: [{ id: '#atproto', type: 'Multikey', publicKeyMultibase: 'zzz' }] }),
  'did-other-id': (doc) => json({ ...doc, id: 'did:plc:ewvi7nxzyoun6zhxrhs64oiz' }),
  'did-garbage': () => reply('{"id": "did:plc', 'application/json'),
  'did-list': () => json([]),
  'did-huge': (doc) => json({ ...doc, filler: 'x'.repeat(3_000_000) }),
} as const satisfies Record<string, (document: Json) => Reply>;

export type DocumentFaultName = keyof typeof DOCUMENT_FAULTS;

function pds(serviceEndpoint: string): Json[] {
  return [{ id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint }];
}

/** Answers a question for a document with a useless one; false where there is no true one. */
export function spoilDocument(name: DocumentFaultName, call: Call, handle: Handler): boolean {
  const answer = handle(call);
  if (answer.status !== 200) return false;
  send(call.res, DOCUMENT_FAULTS[name](JSON.parse(answer.body.toString()) as Json));
  return true;
}
