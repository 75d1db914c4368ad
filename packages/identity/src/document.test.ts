import { P256Keypair, parseMultikey, Secp256k1Keypair } from '@atproto/crypto';
import { parseToAtprotoDocument } from '@atproto/identity';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { base58Decode, base58Encode } from './base58.ts';
import { parseDid } from './did.ts';
import { parseDocument } from './document.ts';
import { IdentityError } from './errors.ts';
import { isHandle } from './handle-syntax.ts';
import { didKeyOf } from './key.ts';

const DID = 'did:plc:ewvi7nxzyoun6zhxrhs64oiz';
const K256_KEY = (await Secp256k1Keypair.create()).did();
const P256_KEY = (await P256Keypair.create()).did();
const multibase = (didKey: string) => didKey.slice('did:key:'.length);

function documentOf(overrides: Record<string, unknown> = {}) {
  return {
    '@context': ['https://www.w3.org/ns/did/v1'],
    id: DID,
    alsoKnownAs: ['at://Alice.example.COM'],
    verificationMethod: [
      { id: `${DID}#atproto`, type: 'Multikey', controller: DID, publicKeyMultibase: multibase(K256_KEY) },
      { id: '#atproto_label', type: 'Multikey', controller: DID, publicKeyMultibase: multibase(P256_KEY) },
    ],
    service: [
      { id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint: 'https://pds.example.com/' },
      { id: `${DID}#atproto_labeler`, type: 'AtprotoLabeler', serviceEndpoint: 'https://labels.example.com' },
    ],
    ...overrides,
  };
}

const reasonOf = (run: () => unknown) => {
  try {
    run();
  } catch (err) {
    return err instanceof IdentityError ? err.reason : err;
  }
  return undefined;
};

describe('parseDocument', () => {
  it('reads PDS, keys, handle and labeler, with relative and absolute ids', () => {
    expect(parseDocument(DID, documentOf())).toEqual({
      did: DID,
      pds: 'https://pds.example.com',
      signingKey: K256_KEY,
      handle: 'alice.example.com',
      labeler: 'https://labels.example.com',
      labelKey: P256_KEY,
    });
  });

  it('reads the same key and PDS as the reference, key after key', async () => {
    for (let i = 0; i < 20; i++) {
      const key = i % 2 ? await Secp256k1Keypair.create() : await P256Keypair.create();
      const method = {
        id: '#atproto',
        type: 'Multikey',
        controller: DID,
        publicKeyMultibase: multibase(key.did()),
      };
      const doc = documentOf({ verificationMethod: [method] });
      // biome-ignore lint/suspicious/noExplicitAny: the reference's own type of a document
      const theirs = parseToAtprotoDocument(doc as any);
      const ours = parseDocument(DID, doc);
      expect(ours.signingKey).toBe(theirs.signingKey);
      expect(`${ours.pds}/`).toBe(theirs.pds);
    }
  });

  it('leaves out what is absent or unusable', () => {
    const unusable = {
      alsoKnownAs: ['at://not a handle', 'https://x.example'],
      verificationMethod: [{ id: '#atproto', type: 'Multikey', publicKeyMultibase: 'zQQQ' }],
      service: [{ id: '#atproto_pds', type: 'SomethingElse', serviceEndpoint: 'https://pds.example.com' }],
    };
    expect(parseDocument(DID, documentOf(unusable))).toEqual({ did: DID });
    expect(parseDocument(DID, { id: DID })).toEqual({ did: DID });
  });

  it.each([
    'ftp://pds.example.com',
    'https://pds.example.com/path',
    'https://user:pw@pds.example.com',
    'https://pds.example.com?x=1',
    'pds.example.com',
    'https://',
    'javascript:alert(1)',
  ])('refuses the endpoint %s', (serviceEndpoint) => {
    const service = [{ id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint }];
    expect(parseDocument(DID, documentOf({ service })).pds).toBeUndefined();
  });

  it('takes the first entry of an id, as the reference does', () => {
    const service = ['https://one.example.com', 'https://two.example.com'].map((serviceEndpoint) => ({
      id: '#atproto_pds',
      type: 'AtprotoPersonalDataServer',
      serviceEndpoint,
    }));
    expect(parseDocument(DID, documentOf({ service })).pds).toBe('https://one.example.com');
  });

  it('refuses a document of another DID, of another shape, with another controller of the key', () => {
    expect(reasonOf(() => parseDocument(DID, documentOf({ id: 'did:web:evil.com' })))).toBe('bad-document');
    for (const doc of [null, [], 'x', 1, {}]) {
      expect(reasonOf(() => parseDocument(DID, doc))).toBe('bad-document');
    }
    expect(reasonOf(() => parseDocument(DID, documentOf({ service: {} })))).toBe('bad-document');
    const foreign = {
      id: '#atproto',
      type: 'Multikey',
      controller: 'did:web:x.com',
      publicKeyMultibase: multibase(K256_KEY),
    };
    expect(parseDocument(DID, documentOf({ verificationMethod: [foreign] })).signingKey).toBeUndefined();
  });

  it('throws nothing but IdentityError, whatever the document is', () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true }), fc.object(), (service, rest) => {
        const reason = reasonOf(() => parseDocument(DID, { ...documentOf(), ...rest, id: DID, service }));
        expect([undefined, 'bad-document']).toContain(reason);
      }),
    );
  });
});

describe('didKeyOf', () => {
  it('reads the legacy forms, compressed or not', async () => {
    const pair = await Secp256k1Keypair.create();
    const { keyBytes } = parseMultikey(multibase(pair.did()));
    const type = 'EcdsaSecp256k1VerificationKey2019';
    // The reference's parseMultikey gives the uncompressed point.
    expect(keyBytes.length).toBe(65);
    expect(didKeyOf({ type, publicKeyMultibase: `z${base58Encode(keyBytes)}` })).toBe(pair.did());
    const point = base58Decode(multibase(pair.did()).slice(1))!.subarray(2);
    expect(didKeyOf({ type, publicKeyMultibase: `z${base58Encode(point)}` })).toBe(pair.did());
  });

  it('refuses other curves, lengths, bases and types', () => {
    const ed25519 = `z${base58Encode(Uint8Array.of(0xed, 0x01, ...new Uint8Array(32)))}`;
    expect(didKeyOf({ type: 'Multikey', publicKeyMultibase: ed25519 })).toBeUndefined();
    expect(
      didKeyOf({ type: 'Multikey', publicKeyMultibase: multibase(K256_KEY).slice(0, -1) }),
    ).toBeUndefined();
    expect(didKeyOf({ type: 'Multikey', publicKeyMultibase: `m${multibase(K256_KEY)}` })).toBeUndefined();
    expect(didKeyOf({ type: 'constructor', publicKeyMultibase: multibase(K256_KEY) })).toBeUndefined();
    expect(didKeyOf({})).toBeUndefined();
  });
});

it('base58 round-trips', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      expect(base58Decode(base58Encode(bytes))).toEqual(bytes);
    }),
  );
  expect(base58Decode('0OIl')).toBeUndefined();
});

describe('parseDid', () => {
  it('knows did:plc and did:web of a bare host', () => {
    expect(parseDid(DID)).toEqual({ method: 'plc' });
    expect(parseDid('did:web:Example.com')).toEqual({ method: 'web', host: 'example.com', port: undefined });
    expect(parseDid('did:web:localhost%3A2583')).toEqual({ method: 'web', host: 'localhost', port: '2583' });
  });

  it.each([
    '',
    'did:plc:',
    'did:plc:short',
    'did:plc:EWVI7NXZYOUN6ZHXRHS64OIZ',
    'did:plc:ewvi7nxzyoun6zhxrhs64oi1',
    'did:plc:ewvi7nxzyoun6zhxrhs64oiz/../x',
    'did:web:example.com:path',
    'did:web:exa mple.com',
    'did:web:example.com/../x',
    'did:web:user@example.com',
    'did:web:.example.com',
    'did:key:zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF',
    'DID:plc:ewvi7nxzyoun6zhxrhs64oiz',
  ])('refuses %j', (did) => {
    expect(reasonOf(() => parseDid(did))).toBe('bad-did');
  });
});

it('isHandle follows the syntax and the names that never resolve', () => {
  for (const handle of ['jay.bsky.social', 'xn--ls8h.test', '8.cn', 'a.co'])
    expect(isHandle(handle)).toBe(true);
  for (const handle of [
    '',
    'jay',
    'jay.',
    '.jay.com',
    'jo@hn.test',
    'a.8',
    'x.local',
    '-a.com',
    'A.com',
    `${'a.'.repeat(130)}com`,
  ]) {
    expect(isHandle(handle)).toBe(false);
  }
});
