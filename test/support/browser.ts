import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';

const programs = ['chromium', 'chromium-browser', 'google-chrome'];
const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export interface Look {
  scheme?: 'light' | 'dark';
  width?: number;
  height?: number;
}

/** A browser of the test's own, with nothing in it; closed and forgotten when disposed of. */
export async function openBrowser({
  scheme = 'light',
  width = 1280,
  height = 900,
}: Look = {}): Promise<BrowserContext & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-browser-'));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: findBrowser(),
    headless: true,
    args: flags,
    colorScheme: scheme,
    viewport: { width, height },
    reducedMotion: 'reduce',
  });
  context.setDefaultTimeout(20_000);
  const close = async () => {
    await context.close();
    await rm(folder, { recursive: true, force: true });
  };
  return Object.defineProperty(context, Symbol.asyncDispose, { value: close });
}

function findBrowser(): string {
  for (const program of programs) {
    const { status, stdout } = spawnSync('which', [program], { encoding: 'utf8' });
    if (status === 0) return stdout.trim();
  }
  throw new Error('There is no Chromium on PATH: node scripts/setup.mjs, or apt-get install chromium');
}
