import type { Account } from '../world/account.ts';
import type { World } from '../world/world.ts';
import type { Call, Handler } from './http.ts';
import { error, json, type Reply, reply } from './reply.ts';

/** Documents of DIDs that are no accounts: of labelers, of phantoms. */
export type Documents = Map<string, () => unknown>;

/** A PLC directory: `GET /:did`, `/:did/data`, `/export`, `/_health`. */
export function plcHandler(world: World, documents: Documents): Handler {
  return (call) => {
    if (call.path === '/export') return exported(world, call);
    if (call.path === '/_health') return json({ version: 'simulated' });
    return answerDid(world, documents, call);
  };
}

function answerDid(world: World, documents: Documents, { path }: Call): Reply {
  const [did, part] = path.slice(1).split('/') as [string, string?];
  const account = world.byDid.get(did);
  const document = documents.get(did)?.() ?? (account && documentOf(account));
  if (!document) return json({ message: `DID not registered: ${did}` }, 404);
  if (part === undefined) return json(document);
  return part === 'data' && account ? json(dataOf(account)) : error(404, 'NotFound');
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

/** The document of a DID that has a host and no repo. */
export function phantomDocument(did: string, url: string): Record<string, unknown> {
  const key = 'zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF';
  return {
    '@context': ['https://www.w3.org/ns/did/v1'],
    id: did,
    alsoKnownAs: [`at://${did.slice(8, 20)}.test`],
    verificationMethod: [method(did, '#atproto', key)],
    service: [{ id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint: url }],
  };
}

function method(did: string, id: string, publicKeyMultibase: string): Record<string, string> {
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
function exported(world: World, { params }: Call): Reply {
  const after = Number(params.get('after') ?? 0) || 0;
  const count = Math.min(Number(params.get('count') ?? 1000) || 1000, 1000);
  const lines = world.accounts.slice(after, after + count).map((account, i) => {
    const { did, ...operation } = dataOf(account);
    const createdAt = String(after + i + 1);
    return JSON.stringify({
      did,
      operation: { type: 'plc_operation', ...operation },
      nullified: false,
      createdAt,
    });
  });
  return reply(lines.join('\n'), 'application/jsonlines');
}
