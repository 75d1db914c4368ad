import { freePort } from '@headwater/local';
import { connect, dead, keysOf, lagOf, type Redis } from '@headwater/streams';
import type { Page } from 'playwright-core';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Pipeline } from '../disorder/pipeline.ts';
import { createNetwork, type Network } from '../simulator/index.ts';
import { openBrowser } from '../support/browser.ts';
import { useDatabase } from '../support/postgres.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { type RunningService, startService } from '../support/services.ts';
import { until } from '../support/wait.ts';

const operatorToken = 'operator-token-of-this-test';
const viewerToken = 'viewer-token-of-this-test';
const shots = process.env['HEADWATER_SCREENSHOTS'];

/** The page as an operator has it before them, while repos are fetched. */
describe('the status page', () => {
  const database = useDatabase();
  let network: Network;
  let server: TestRedis;
  let redis: Redis;
  let pipeline: Pipeline;
  let console_: RunningService;
  let sql: postgres.Sql;
  let url: string;
  let living: Promise<unknown>;
  const over = new AbortController();

  beforeAll(async () => {
    [server, network] = await Promise.all([
      startRedis({ aof: true, maxMemory: 512 * 2 ** 20 }),
      createNetwork({ seed: 7, repos: 200, recordsPerRepo: 20, hosts: 4, labelers: 1, clock: 'wall' }),
    ]);
    redis = connect(server.url);
    sql = postgres(database.url, { max: 2 });
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const place = {
      redisUrl: server.url,
      databaseUrl: database.url,
      plcUrl: network.plcUrl,
      env: {
        INGESTER_RELAY_HOSTS: network.relayUrls.join(','),
        INGESTER_LABELER_HOSTS: network.labelers.map(({ did }) => did).join(','),
        HANDLE_RESOLVER_URL: network.relayUrl,
        // Slow enough that the backfill lasts as long as it is looked at.
        BACKFILLER_CONCURRENCY: '1',
        BACKFILLER_HOST_REQUESTS_PER_SECOND: '1',
        CONSOLE_PORT: `${port}`,
        CONSOLE_OPERATOR_TOKEN: operatorToken,
        CONSOLE_VIEWER_TOKEN: viewerToken,
      },
    };
    pipeline = new Pipeline(place);
    console_ = await startService('console', place);
    await pipeline.start();
    living = network.run({ operations: 1_000_000, perSecond: 5, signal: over.signal });
    await until('a repo is complete', async () => (await complete()) > 0);
  }, 120_000);
  afterAll(async () => {
    over.abort();
    await living?.catch(() => undefined);
    await console_?.[Symbol.asyncDispose]();
    await pipeline?.[Symbol.asyncDispose]();
    await sql?.end();
    redis?.disconnect();
    await network?.[Symbol.asyncDispose]();
    await server?.stop();
  });

  const complete = async () =>
    Number((await sql`SELECT count(*) AS n FROM headwater.repo WHERE state = 'complete'`)[0]!['n']);
  const figure = async (page: Page, name: string) => {
    const text = await page.locator('#backfill dt', { hasText: name }).locator('+ dd').textContent();
    return Number(/^[\d,]+/.exec(text ?? '')![0].replaceAll(',', ''));
  };

  it('shows nothing without a token, and takes no wrong one', async () => {
    for (const path of ['/api/status', '/api/dead/firehose_live', '/api/account?q=did:plc:a']) {
      expect((await fetch(url + path)).status, path).toBe(401);
      const wrong = await fetch(url + path, { headers: { authorization: 'Bearer wrong' } });
      expect(wrong.status, path).toBe(401);
    }
    await using browser = await openBrowser();
    const page = await browser.newPage();
    await page.goto(url);
    expect(page.url()).toBe(`${url}/login`);
    await page.getByLabel('Token').fill('not the token at all');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').getByText('This token is not known').waitFor();
  });

  it('lets a viewer look and not act, and nobody act from elsewhere', async () => {
    const as = (token: string, more: Record<string, string> = {}) => ({
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...more },
      body: JSON.stringify({ stream: 'firehose_live', reason: 'none' }),
    });
    const status = await fetch(`${url}/api/status`, { headers: { authorization: `Bearer ${viewerToken}` } });
    expect(status.status).toBe(200);
    expect((await fetch(`${url}/api/actions/discard`, as(viewerToken))).status).toBe(403);
    const elsewhere = as(operatorToken, { origin: 'https://elsewhere.example' });
    expect((await fetch(`${url}/api/actions/discard`, elsewhere)).status).toBe(403);
    expect((await fetch(`${url}/api/actions/discard`, as(operatorToken))).status).toBe(200);
  });

  it('shows a backfill that goes on, and does what the operator asks', { timeout: 240_000 }, async () => {
    const { dead: letters } = keysOf(redis, 'repo_backfill');
    const did = network.world.accounts.at(-1)!.did;
    const job = JSON.stringify({ did, host: '', rev: '', active: true, reason: 'operator' });
    const marks = ['reason', 'too-slow', 'error', 'XrpcError: <b>slow</b>', 'attempts', '8'];
    const source = ['source', 'repo_backfill', 'source_id', '1-1', 'group', 'repo_backfill_group'];
    const time = new Date().toISOString();
    await redis.xadd(letters, '*', 'repo', job, ...marks, 'first', time, 'last', time, ...source);

    await using browser = await openBrowser();
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text());
    });
    await page.goto(url);
    await page.getByLabel('Token').fill(operatorToken);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'The last hour' }).waitFor();
    expect(await page.locator('.phase .big').textContent()).toMatch(/backfilling/i);
    const before = await figure(page, 'Complete');
    await until('the figures change', async () => (await figure(page, 'Complete')) > before);

    const row = page.locator('#dead tr', { hasText: 'too-slow' });
    await row.getByRole('button', { name: 'Show' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.locator('summary').click();
    await dialog.locator('pre', { hasText: did }).waitFor();
    expect(await dialog.locator('summary').textContent()).toContain('<b>slow</b>');
    if (shots) await page.screenshot({ path: `${shots}/letters.png` });
    await page.keyboard.press('Escape');
    await row.getByRole('button', { name: 'Requeue all' }).click();
    await dialog.getByRole('button', { name: 'Requeue' }).click();
    await page.getByRole('status').getByText('1 letter put back into repo_backfill').waitFor();
    expect((await dead.list(redis, 'repo_backfill', { reason: 'too-slow' })).letters).toEqual([]);

    await page.getByLabel('Handle or DID').fill(did);
    await page.keyboard.press('Enter');
    await until(
      async () => `the account: ${await page.locator('#account').textContent()}`,
      async () => (await page.locator('#found code', { hasText: did }).count()) > 0,
      20_000,
    );
    await until('the account is shown still after a look', async () => {
      const stamp = await page.locator('#stamp').textContent();
      await until('the next look', async () => (await page.locator('#stamp').textContent()) !== stamp);
      return (await page.locator('#found code', { hasText: did }).count()) > 0;
    });
    await page.getByRole('button', { name: 'Fetch and compare again' }).click();
    await page.getByRole('status').getByText('is fetched and compared next').waitFor();
    const service = page.locator('#services li', { hasText: 'repo-backfiller' });
    await service.getByRole('button', { name: 'Pause' }).click();
    await dialog.getByLabel('Reason').fill('to see it stand still');
    await page.keyboard.press('Enter');
    await service.getByText('to see it stand still').waitFor();
    await page.locator('.phase', { hasText: 'paused' }).waitFor();
    await until('nothing is in hand', async () => {
      const { pending } = await lagOf(redis, 'repo_backfill', 'repo_backfill_group');
      return pending === 0;
    });
    const still = await complete();
    await service.getByRole('button', { name: 'Resume' }).click();
    await service.getByText('may run').waitFor();
    await until('it goes on', async () => (await complete()) > still);

    await page.locator('#acts tr', { hasText: 'to see it stand still' }).first().waitFor();
    await page.locator('#live tr', { hasText: 'firehose' }).filter({ hasNotText: 'unknown' }).waitFor();
    const acts = await sql`SELECT actor, action, outcome FROM headwater.audit ORDER BY id`;
    expect(acts.map(({ actor, action }) => [actor, action])).toEqual([
      ['operator (bearer)', 'discard'],
      ['operator (session)', 'requeue'],
      ['operator (session)', 'backfill'],
      ['operator (session)', 'pause'],
      ['operator (session)', 'resume'],
    ]);
    expect(acts.every(({ outcome }) => outcome !== null)).toBe(true);
    expect(errors).toEqual([]);
  });

  it('is readable in the dark and on a phone, without a horizontal scroll', async () => {
    for (const look of [
      { scheme: 'light', width: 1280 },
      { scheme: 'dark', width: 1280 },
      { scheme: 'light', width: 375 },
    ] as const) {
      await using browser = await openBrowser(look);
      await browser.setExtraHTTPHeaders({ authorization: `Bearer ${operatorToken}` });
      const page = await browser.newPage();
      await page.goto(url);
      if (shots) await page.screenshot({ path: `${shots}/${look.scheme}-${look.width}.png`, fullPage: true });
      const act = await page.locator('#acts tbody tr').first().textContent();
      expect(act).toMatch(/^\d{4}-\d\d-\d\d \d\d:/);
      const wide = await page.evaluate('document.documentElement.scrollWidth');
      expect(wide, `${look.scheme} ${look.width}`).toBeLessThanOrEqual(look.width);
    }
  });
});
