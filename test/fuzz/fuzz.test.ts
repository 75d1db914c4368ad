import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { corpus, fuzz } from './fuzz.ts';
import { Reader } from './reader.ts';
import { type Kind, kinds } from './targets.ts';

it('what once failed is read as it should be', async () => {
  using reader = new Reader();
  for (const name of await readdir(corpus)) {
    const kind = name.split('-')[0] as Kind;
    if (!kinds.includes(kind)) continue;
    expect(await reader.read(kind, [await readFile(join(corpus, name))]), name).toEqual([]);
  }
});

it.each(kinds)('changed %s are read or refused, in bounded time and memory (seed 1)', async (kind) => {
  const { inputs, findings } = await fuzz({ kinds: [kind], seed: 1, batches: 8 });
  expect(findings).toEqual([]);
  expect(inputs[kind]).toBe(256);
});
