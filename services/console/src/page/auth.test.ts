import { describe, expect, it } from 'vitest';
import { Gatekeeper, isLoopback } from './auth.ts';

const tokens = { viewerToken: 'viewer-token-0123456', operatorToken: 'operator-token-01234' };

function cookieOf(keeper: Gatekeeper, token: string): string {
  const session = keeper.login(token);
  if (typeof session === 'string') throw new Error(session);
  return session.cookie;
}

describe('Gatekeeper', () => {
  it('knows each token by its role, and no other', () => {
    const keeper = new Gatekeeper(tokens);
    expect(keeper.visitor({ bearer: tokens.operatorToken })).toMatchObject({
      role: 'operator',
      by: 'bearer',
    });
    expect(keeper.visitor({ bearer: tokens.viewerToken })?.role).toBe('viewer');
    for (const bearer of ['', 'viewer', `${tokens.viewerToken} `]) {
      expect(keeper.visitor({ bearer })).toBeUndefined();
    }
    expect(keeper.visitor({})).toBeUndefined();
  });

  it('gives a session that holds in another copy, ends with time and with the token', () => {
    let now = 1_000_000;
    const keeper = new Gatekeeper(tokens, () => now);
    const cookie = cookieOf(keeper, tokens.viewerToken);
    expect(new Gatekeeper(tokens, () => now).visitor({ cookie })).toMatchObject({
      role: 'viewer',
      by: 'session',
    });
    expect(
      new Gatekeeper({ ...tokens, viewerToken: 'another-token-0123' }).visitor({ cookie }),
    ).toBeUndefined();
    expect(keeper.visitor({ cookie: cookie.replace('viewer', 'operator') })).toBeUndefined();
    expect(keeper.visitor({ cookie: '' })).toBeUndefined();
    now += 13 * 3_600_000;
    expect(keeper.visitor({ cookie })).toBeUndefined();
  });

  it('lets a session act only with its own second proof; a bearer needs none', () => {
    const keeper = new Gatekeeper(tokens);
    const [one, two] = [1, 2].map(() => keeper.visitor({ cookie: cookieOf(keeper, tokens.operatorToken) })!);
    expect(keeper.mayAct(one!, one!.csrf)).toBe(true);
    for (const wrong of [undefined, '', two!.csrf]) expect(keeper.mayAct(one!, wrong)).toBe(false);
    expect(keeper.mayAct(keeper.visitor({ bearer: tokens.operatorToken })!, undefined)).toBe(true);
  });

  it('looks at no token after many wrong ones, for a minute', () => {
    let now = 0;
    const keeper = new Gatekeeper(tokens, () => now);
    for (let i = 0; i < 20; i++) expect(keeper.login(`wrong ${i}`)).toBe('wrong');
    expect(keeper.login(tokens.viewerToken)).toBe('later');
    now += 61_000;
    expect(keeper.login(tokens.viewerToken)).toHaveProperty('cookie');
  });

  it('without tokens lets everybody in, yet acts only with the proof that the page carries', () => {
    const keeper = new Gatekeeper({ viewerToken: undefined, operatorToken: undefined });
    const visitor = keeper.visitor({})!;
    expect(visitor).toMatchObject({ role: 'operator', by: 'loopback' });
    expect([keeper.mayAct(visitor, undefined), keeper.mayAct(visitor, visitor.csrf)]).toEqual([false, true]);
  });
});

it('tells loopback from the rest', () => {
  expect(['127.0.0.1', '127.1.2.3', 'localhost', '::1'].every(isLoopback)).toBe(true);
  expect(['0.0.0.0', '::', '192.168.0.1', 'localhost.example', '127.0.0.1.example'].some(isLoopback)).toBe(
    false,
  );
});
