import { Metrics } from '@headwater/ops';
import { describe, expect, it } from 'vitest';
import { HandleResolver } from './handle.ts';
import type { HttpAnswer } from './http.ts';

const DID = 'did:plc:ewvi7nxzyoun6zhxrhs64oiz';
const OTHER = 'did:web:other.example.com';
const fail = (code: string) => Object.assign(new Error(code), { code });

interface World {
  txt?: string[][] | Error;
  web?: HttpAnswer | Error;
  resolverUrl?: string;
}

function resolverOf({ txt = fail('ENOTFOUND'), web = { status: 404, body: '' }, resolverUrl }: World) {
  const asked: string[] = [];
  const give = <T>(name: string, value: T | Error): Promise<T> => {
    asked.push(name);
    return value instanceof Error ? Promise.reject(value) : Promise.resolve(value);
  };
  const resolver = new HandleResolver({
    get: (url) => give(url, web),
    dns: { resolveTxt: (name) => give(name, txt) },
    metrics: new Metrics('test'),
    resolverUrl,
  });
  return { resolver, asked };
}

describe('resolveHandle', () => {
  it.each<[string, World, string | null | 'unavailable']>([
    ['a TXT record in parts', { txt: [['did=did:plc:', 'ewvi7nxzyoun6zhxrhs64oiz'], ['v=spf1']] }, DID],
    ['the well-known page, with a line end', { web: { status: 200, body: `${DID}\n` } }, DID],
    ['DNS before the web', { txt: [[`did=${DID}`]], web: { status: 200, body: OTHER } }, DID],
    ['DNS though the web fails', { txt: [[`did=${DID}`]], web: fail('ECONNREFUSED') }, DID],
    ['the web though DNS fails', { txt: fail('ETIMEOUT'), web: { status: 200, body: DID } }, DID],
    ['two TXT records that differ', { txt: [[`did=${DID}`], [`did=${OTHER}`]] }, null],
    ['the same TXT record twice', { txt: [[`did=${DID}`], [`did=${DID}`]] }, DID],
    ['a page that is no DID', { web: { status: 200, body: '<html>' } }, null],
    ['nothing anywhere', {}, null],
    [
      'a name that does not exist',
      { web: new TypeError('fetch failed', { cause: fail('ENOTFOUND') }) },
      null,
    ],
    ['nobody who could say', { txt: fail('ETIMEOUT') }, 'unavailable'],
    ['a web host in trouble', { web: { status: 503, body: '' } }, 'unavailable'],
    ['a web host that refuses', { web: fail('ECONNREFUSED') }, 'unavailable'],
  ])('%s', async (_name, world, wanted) => {
    const { resolver } = resolverOf(world);
    const answer = await resolver.resolveHandle('Alice.Example.com').catch((err) => err.reason);
    expect(answer).toBe(wanted);
  });

  it('asks for the handle in lower case, and for no name that never resolves', async () => {
    const { resolver, asked } = resolverOf({});
    await resolver.resolveHandle('Alice.Example.com');
    expect(asked.sort()).toEqual([
      '_atproto.alice.example.com',
      'https://alice.example.com/.well-known/atproto-did',
    ]);
    asked.length = 0;
    expect(await resolver.resolveHandle('alice.internal')).toBeNull();
    expect(await resolver.resolveHandle('127.0.0.1')).toBeNull();
    expect(asked).toEqual([]);
  });

  it('asks a resolver service instead where one is set', async () => {
    const web = { status: 200, body: JSON.stringify({ did: DID }) };
    const { resolver, asked } = resolverOf({ web, resolverUrl: 'http://127.0.0.1:2583/' });
    expect(await resolver.resolveHandle('alice.test')).toBe(DID);
    expect(asked).toEqual([
      'http://127.0.0.1:2583/xrpc/com.atproto.identity.resolveHandle?handle=alice.test',
    ]);
    const none = resolverOf({
      web: { status: 400, body: '{"error":"InvalidRequest"}' },
      resolverUrl: 'http://r',
    });
    expect(await none.resolver.resolveHandle('bob.test')).toBeNull();
  });
});

it('verifiedHandle gives the claimed handle only if it names the DID back', async () => {
  const { resolver } = resolverOf({ txt: [[`did=${DID}`]] });
  expect(await resolver.verifiedHandle({ did: DID, handle: 'alice.example.com' })).toBe('alice.example.com');
  expect(await resolver.verifiedHandle({ did: OTHER, handle: 'alice.example.com' })).toBeUndefined();
  expect(await resolver.verifiedHandle({ did: DID })).toBeUndefined();
});
