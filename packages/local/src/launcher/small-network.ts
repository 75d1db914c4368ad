import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { addressesOf } from '../network/network.ts';
import { tellPast, tellPresent } from '../network/story.ts';
import { type Child, spawnChild } from '../process.ts';
import { call } from './compare.ts';
import { type Display, number } from './display.ts';

/** Changes made while the pipeline runs, and the pause between two. */
const CHANGES = 40;
const PAUSE_MS = 60;

/** The network of `npm start` without arguments: PLC and PDS in a process of their own. */
export interface SmallNetwork {
  plcUrl: string;
  pdsUrl: string;
  process: Child;
}

/** Written when the network is full; without it a start begins anew. */
const FULL = 'told';

/** Where the network will be, before it is up. A first start that was interrupted while filling it is undone. */
export async function prepareSmallNetwork(folder: string): Promise<{ plcUrl: string; pdsUrl: string }> {
  if (!existsSync(join(folder, FULL))) rmSync(folder, { recursive: true, force: true });
  return addressesOf(folder);
}

/** Starts it; on the first start fills it with accounts and records. */
export async function startSmallNetwork(
  folder: string,
  display: Display,
  signal: AbortSignal,
): Promise<SmallNetwork> {
  const main = fileURLToPath(new URL('../network/main.ts', import.meta.url));
  const child = spawnChild(process.execPath, ['--disable-warning=ExperimentalWarning', main, folder]);
  try {
    const ready = await child.waitForLine((line) => line.startsWith('ready '));
    const { plcUrl, pdsUrl } = JSON.parse(ready.slice('ready '.length));
    if (!existsSync(join(folder, FULL))) {
      await fill(pdsUrl, display, signal);
      writeFileSync(join(folder, FULL), '');
    }
    return { plcUrl, pdsUrl, process: child };
  } catch (error) {
    await child.stop();
    throw error;
  }
}

async function fill(pdsUrl: string, display: Display, signal: AbortSignal): Promise<void> {
  let shown = '';
  await tellPast(pdsUrl, (accounts, records) => {
    signal.throwIfAborted();
    shown = `  network     ${accounts} accounts, ${number(records)} records made`;
    if (process.stdout.isTTY) display.block([shown]);
  });
  display.block([shown]);
  display.keep();
}

/** Every repo of the network with its newest rev, as its PDS lists it. */
export async function listRepos(pdsUrl: string): Promise<{ did: string; rev: string }[]> {
  const repos: { did: string; rev: string }[] = [];
  let cursor: string | undefined;
  do {
    const page = await call<{ cursor?: string; repos: { did: string; rev: string }[] }>(
      pdsUrl,
      'com.atproto.sync.listRepos',
      { limit: '500', ...(cursor === undefined ? {} : { cursor }) },
    );
    repos.push(...page.repos);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return repos;
}

export interface LiveResult {
  changes: number;
  /** Milliseconds from the PDS's answer to the row (or its absence) in PostgreSQL, sorted. */
  delays: number[];
}

/**
 * Makes changes and watches each arrive.
 *
 * @param visible which of these records PostgreSQL has, by URI
 */
export async function makeChanges(
  pdsUrl: string,
  visible: (uris: string[]) => Promise<Set<string>>,
  progress: (made: number, seen: number) => void,
  signal: AbortSignal,
): Promise<LiveResult> {
  const open = new Map<string, { at: number; gone: boolean }>();
  const delays: number[] = [];
  let made = 0;
  let unseen = 0;
  let over = false;
  const telling = tellPresent(pdsUrl, CHANGES, async (change) => {
    made++;
    const [uri, gone] = 'removed' in change ? [change.removed, true] : [change.ref.uri, false];
    // A record that is removed before it was seen leaves nothing to watch for.
    if (gone && open.delete(uri)) unseen++;
    else open.set(uri, { at: Date.now(), gone });
    await sleep(PAUSE_MS, undefined, { signal });
  }).finally(() => {
    over = true;
  });
  telling.catch(() => {});
  const end = Date.now() + 60_000;
  while ((!over || open.size > 0) && Date.now() < end) {
    const there = await visible([...open.keys()]);
    for (const [uri, { at, gone }] of open) {
      if (there.has(uri) === gone) continue;
      delays.push(Date.now() - at);
      open.delete(uri);
    }
    progress(made, delays.length + 2 * unseen);
    await sleep(10, undefined, { signal });
  }
  await telling;
  return { changes: made, delays: delays.sort((a, b) => a - b) };
}
