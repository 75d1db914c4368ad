import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { catalogue } from './catalogue/index.ts';
import { mutate } from './mutant.ts';

const root = join(import.meta.dirname, '../..');

describe('the catalogue of deliberate bugs', () => {
  it.each(catalogue)('$name still applies to exactly one place', async (mutant) => {
    const text = await readFile(join(root, mutant.file), 'utf8');
    expect(mutate(text, mutant)).not.toBe(text);
    for (const test of mutant.tests) expect(existsSync(join(root, test)), test).toBe(true);
  });

  it('has at least forty, each under its own name, and one for each of the fifteen behaviours', () => {
    expect(catalogue.length).toBeGreaterThanOrEqual(40);
    expect(new Set(catalogue.map(({ name }) => name)).size).toBe(catalogue.length);
    const behaviours = new Set(catalogue.map(({ behaviour }) => behaviour));
    for (let n = 1; n <= 15; n++) expect(behaviours, `behaviour ${n}`).toContain(n);
  });
});
