import { expect, test } from 'vitest';
import { createNetwork, type Network } from '../index.ts';

const GET_REPO = '/xrpc/com.atproto.sync.getRepo?did=';
const LIST = '/xrpc/com.atproto.sync.listRepos?limit=';

async function network(): Promise<Network> {
  return createNetwork({
    seed: 1,
    repos: 20,
    hosts: 2,
    recordsPerRepo: 10,
    phantomHosts: 1,
    phantomsPerHost: 4,
  });
}

/** Where an account's repo is to be had. */
function repoUrl(net: Network, index = 0): string {
  const { host, did } = net.world.accounts[index]!;
  return host.url + GET_REPO + did;
}

test('429 with each kind of headers', async () => {
  await using net = await network();
  const fault = net.faults.inject({
    fault: 'rate-limit',
    service: 'pds0',
    headers: 'retry-after',
    seconds: 7,
    times: 1,
  });
  const answer = await fetch(repoUrl(net));
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '7']);
  expect((await fetch(repoUrl(net))).status).toBe(200);
  expect(fault.hits).toBe(1);
  for (const [headers, name] of [
    ['reset', 'ratelimit-reset'],
    ['none', null],
    ['html', null],
  ] as const) {
    net.faults.inject({ fault: 'rate-limit', service: 'pds0', headers, times: 1 });
    const again = await fetch(repoUrl(net));
    expect(again.status).toBe(429);
    expect(name === null || again.headers.has(name)).toBe(true);
  }
  expect(net.injected).toEqual([
    expect.objectContaining({ fault: 'rate-limit', expect: 'retry', service: 'pds0' }),
  ]);
});

test('bodies that end early, late or never', async () => {
  await using net = await network();
  const whole = (await (await fetch(repoUrl(net))).arrayBuffer()).byteLength;
  net.faults.inject({ fault: 'cut-body', times: 1, at: { block: 3 } });
  const cut = await (await fetch(repoUrl(net))).arrayBuffer();
  expect(cut.byteLength).toBeLessThan(whole);
  net.faults.inject({ fault: 'reset-body', times: 1 });
  await expect(fetch(repoUrl(net)).then((r) => r.arrayBuffer())).rejects.toThrow();
  net.faults.inject({ fault: 'endless-body', times: 1 });
  expect(await readAtMost(repoUrl(net), whole + 5_000_000)).toBeGreaterThan(whole + 4_900_000);
  net.faults.inject({ fault: 'gzip-bomb', times: 1 });
  expect(await readAtMost(repoUrl(net), 50_000_000)).toBeGreaterThan(49_000_000);
  net.faults.inject({ fault: 'slow-body', times: 1, bytesPerSecond: 100 });
  expect(await readAtMost(repoUrl(net), 20)).toBeLessThan(200);
});

async function readAtMost(url: string, enough: number): Promise<number> {
  const abort = new AbortController();
  const { body } = await fetch(url, { signal: abort.signal });
  let bytes = 0;
  for await (const chunk of body!) {
    bytes += chunk.length;
    if (bytes >= enough) break;
  }
  abort.abort();
  return bytes;
}

test('a list that fails at one line, stands still, or holds nothing', async () => {
  await using net = await network();
  const list = async (limit: number, cursor = '') => {
    const answer = await fetch(`${net.relayUrl}${LIST}${limit}${cursor && `&cursor=${cursor}`}`);
    return { status: answer.status, ...((await answer.json()) as { repos?: unknown[]; cursor?: string }) };
  };
  const failing = net.faults.inject({ fault: 'list-error', service: 'relay', line: 12 });
  expect((await list(20)).status).toBe(500);
  expect(await list(10)).toMatchObject({ status: 200, cursor: '10' });
  expect((await list(1, '12')).status).toBe(500);
  expect((await list(5, '13')).repos).toHaveLength(5);
  failing.stop();
  net.faults.inject({ fault: 'list-empty-page', service: 'relay', timesEach: 1 });
  const empty = await list(10, '10');
  expect([empty.repos, empty.cursor]).toEqual([[], 'empty:10']);
  expect((await list(10, empty.cursor)).repos).toHaveLength(10);
  net.faults.inject({ fault: 'list-loop', service: 'relay' });
  expect((await list(5, '5')).cursor).toBe('5');
});

test('repos that are hidden, gone, elsewhere, or never were', async () => {
  await using net = await network();
  const [one, two, three, four] = net.world.accounts as [never, never, never, never];
  const name = async (index: number) => {
    const answer = await fetch(repoUrl(net, index));
    return answer.ok ? 'ok' : ((await answer.json()) as { error: string }).error;
  };
  net.life.accounts.hide(one, 'takendown');
  net.life.accounts.delete(two);
  expect(await name(0)).toBe('RepoTakendown');
  expect(await name(1)).toBe('RepoNotFound');
  const before = repoUrl(net, 2);
  net.life.accounts.migrate(three);
  expect(await name(2)).toBe('ok');
  expect(((await (await fetch(before)).json()) as { error: string }).error).toBe('RepoDeactivated');
  net.life.accounts.reactivate(one);
  expect(await name(0)).toBe('ok');
  const phantoms = (await (await fetch(net.hosts[2] + LIST + 10)).json()) as { repos: { did: string }[] };
  expect(phantoms.repos).toHaveLength(4);
  const found = await Promise.all(phantoms.repos.map(({ did }) => fetch(`${net.plcUrl}/${did}`)));
  expect(found.map(({ status }) => status).sort()).toEqual([200, 200, 404, 404]);
  expect((await fetch(net.hosts[2] + GET_REPO + phantoms.repos[0]!.did)).status).toBe(400);
  net.poison((four as { did: string }).did, 'car-garbage');
  expect(await (await fetch(repoUrl(net, 3))).text()).toContain('not a CAR');
  expect([...net.truth().actors()].map(({ rows }) => rows).slice(0, 4)).toEqual([
    'all',
    'none',
    'all',
    'none',
  ]);
});

test('documents that lead nowhere', async () => {
  await using net = await network();
  const { did } = net.world.accounts[0]!;
  net.faults.inject({ fault: 'did-private', did, times: 1 });
  const read = async () =>
    (await fetch(`${net.plcUrl}/${did}`)).json() as Promise<{ service: { serviceEndpoint: string }[] }>;
  expect((await read()).service[0]!.serviceEndpoint).toBe('http://169.254.169.254');
  expect((await read()).service[0]!.serviceEndpoint).toBe(net.world.accounts[0]!.host.url);
  net.faults.inject({ fault: 'did-stale', did });
  net.life.accounts.migrate(net.world.accounts[0]!);
  expect((await read()).service[0]!.serviceEndpoint).not.toBe(net.world.accounts[0]!.host.url);
  net.faults.inject({ fault: 'tombstone', did });
  expect((await fetch(`${net.plcUrl}/${did}`)).status).toBe(410);
});
