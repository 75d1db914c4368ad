import { describe, expect, it } from 'vitest';
import { hostKey, hostUrl, isPublicAddress, retryAfterOf, socketUrl } from './index.ts';

describe('names of hosts', () => {
  it.each([
    ['bsky.network', 'https://bsky.network/', 'bsky.network'],
    ['https://bsky.network/', 'https://bsky.network/', 'bsky.network'],
    ['wss://bsky.network', 'https://bsky.network/', 'bsky.network'],
    ['localhost:2583', 'http://localhost:2583/', 'localhost:2583'],
    ['http://localhost:2583', 'http://localhost:2583/', 'http://localhost:2583'],
    ['ws://10.0.0.1:1', 'http://10.0.0.1:1/', 'ws://10.0.0.1:1'],
    ['https://h/base', 'https://h/base/', 'h/base'],
  ])('%s', (name, url, key) => {
    expect([hostUrl(name).href, hostKey(name)]).toEqual([url, key]);
  });

  it('refuses what is no host', () => {
    for (const name of ['', 'ftp://h', 'https://', 'https://u:p@h'])
      expect(() => hostUrl(name)).toThrow(TypeError);
  });

  it('builds the URL of a subscription', () => {
    const url = socketUrl('bsky.network', 'com.atproto.sync.subscribeRepos', {
      cursor: '5',
      other: undefined,
    });
    expect(url.href).toBe('wss://bsky.network/xrpc/com.atproto.sync.subscribeRepos?cursor=5');
    expect(socketUrl('localhost:1', 'a.b').href).toBe('ws://localhost:1/xrpc/a.b');
  });
});

describe('addresses', () => {
  it('knows the public ones', () => {
    for (const ip of [
      '8.8.8.8',
      '172.32.0.1',
      '100.128.0.1',
      '2606:4700::1111',
      '::ffff:8.8.8.8',
      '64:ff9b::808:808',
    ])
      expect([ip, isPublicAddress(ip)]).toEqual([ip, true]);
    const refused = `0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 127.9.9.9 169.254.169.254 172.16.0.1 172.31.255.255
      192.0.0.1 192.0.2.1 192.168.1.1 198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 fe80::1 fe80::1%eth0
      fc00::1 fd12::1 ff02::1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.0.0.1 ::127.0.0.1 64:ff9b::7f00:1
      64:ff9b::10.0.0.1 64:ff9b:1::1 2001:db8::1 2001::1 2002:7f00:1:: 3fff::1 5f00::1 localhost 300.1.1.1`;
    for (const ip of refused.split(/\s+/)) expect([ip, isPublicAddress(ip)]).toEqual([ip, false]);
  });
});

describe('pauses', () => {
  it('are read from every header that asks for one', () => {
    const now = Date.UTC(2026, 0, 1);
    const inAMinute = now / 1000 + 60;
    const cases: [Record<string, string>, number | undefined][] = [
      [{ 'retry-after': '7' }, 7000],
      [{ 'retry-after': new Date(now + 9000).toUTCString() }, 9000],
      [{ 'retry-after': new Date(now - 9000).toUTCString() }, 0],
      [{ 'retry-after': '99999999' }, 3_600_000],
      [{ 'retry-after': 'soon', 'ratelimit-reset': '60', 'ratelimit-remaining': '0' }, 60_000],
      [{ 'ratelimit-reset': String(inAMinute) }, 60_000],
      [{ 'ratelimit-reset': String(inAMinute * 1000) }, 60_000],
      [{ 'ratelimit-reset': String(inAMinute), 'ratelimit-remaining': '5' }, undefined],
      [{}, undefined],
    ];
    for (const [headers, ms] of cases) expect(retryAfterOf(headers, now)).toBe(ms);
  });
});
