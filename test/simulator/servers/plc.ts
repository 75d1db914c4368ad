import type { Account } from '../world/account.ts';
import type { World } from '../world/world.ts';
import { type Call, sendError, sendJson } from './http.ts';

/** Documents of DIDs that are no accounts: labelers, and what faults put in the place of an account's own. */
export type Documents = Map<string, unknown>;

/** A PLC directory: `GET /:did`, `/:did/data`, `/export`, `/_health`. */
export function plcHandler(world: World, documents: Documents): (call: Call) => void {
  return (call) => {
    if (call.path === '/export') sendExport(world, call);
    else if (call.path === '/_health') sendJson(call.res, { version: 'simulated' });
    else sendDid(world, documents, call);
  };
}

function sendDid(world: World, documents: Documents, { path, res }: Call): void {
  const [did, part] = path.slice(1).split('/') as [string, string?];
  const account = world.byDid.get(did);
  const document = documents.get(did) ?? (account && documentOf(account));
  if (!document) sendJson(res, { message: `DID not registered: ${did}` }, 404);
  else if (part === undefined) sendJson(res, document);
  else if (part === 'data' && account) sendJson(res, dataOf(account));
  else sendError(res, 404, 'NotFound');
}

/** The DID document of an account. */
export function documentOf(account: Account): Record<string, unknown> {
  const { did, handle, key, host } = account;
  return {
    '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'],
    id: did,
    alsoKnownAs: [`at://${handle}`],
    verificationMethod: [method(did, '#atproto', key.multibase)],
    service: [{ id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint: host.url }],
  };
}

export function method(did: string, id: string, publicKeyMultibase: string): Record<string, string> {
  return { id: did + id, type: 'Multikey', controller: did, publicKeyMultibase };
}

function dataOf({ did, handle, key, host }: Account): Record<string, unknown> {
  return {
    did,
    verificationMethods: { atproto: `did:key:${key.multibase}` },
    rotationKeys: [],
    alsoKnownAs: [`at://${handle}`],
    services: { atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: host.url } },
  };
}

/** JSON lines of the newest state of each DID, in the order of their making; `after` is the number of DIDs before. */
function sendExport(world: World, { params, res }: Call): void {
  const after = Number(params.get('after') ?? 0) || 0;
  const count = Math.min(Number(params.get('count') ?? 1000) || 1000, 1000);
  const lines = world.accounts.slice(after, after + count).map((account, i) => {
    const { did, ...operation } = dataOf(account);
    return JSON.stringify({
      did,
      operation: { type: 'plc_operation', ...operation },
      nullified: false,
      createdAt: String(after + i + 1),
    });
  });
  res.writeHead(200, { 'content-type': 'application/jsonlines' });
  res.end(lines.join('\n'));
}
