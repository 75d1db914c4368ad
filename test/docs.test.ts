import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root })
  .toString()
  .split('\n')
  .filter((file) => file !== '' && existsSync(join(root, file)));

describe('docs', () => {
  it('name tests that exist', () => {
    const text = readFileSync(join(root, 'docs/invariants.md'), 'utf8');
    const named = [...text.matchAll(/`([\w/-]*[\w-]+\.test\.ts)`/g)].map((match) => match[1]!);
    const gone = named.filter((name) => !files.some((file) => file === name || file.endsWith(`/${name}`)));
    expect(named.length).toBeGreaterThan(20);
    expect(gone).toEqual([]);
  });

  it('link to files that exist', () => {
    const broken = files
      .filter((file) => file.endsWith('.md'))
      .flatMap((file) => {
        const links = readFileSync(join(root, file), 'utf8').matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g);
        return [...links]
          .map((link) => join(dirname(join(root, file)), link[1]!))
          .filter((target) => !existsSync(target))
          .map((target) => `${file} → ${relative(root, target)}`);
      });
    expect(broken).toEqual([]);
  });
});
