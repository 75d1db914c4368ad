/** A throw-away copy of the working tree: bugs are never put into the user's own files. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** @returns the copy's folder, removed when it is disposed of */
export async function copyTree(root: string): Promise<{ folder: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-mutants-'));
  const dispose = () => rm(folder, { recursive: true, force: true });
  try {
    const files = await filesOf(root);
    for (const file of files) await copyFile(root, folder, file);
    await linkModules(root, folder);
    const packages = files.filter((file) => file.endsWith('/package.json')).map(dirname);
    for (const name of packages) await copyLinks(root, folder, join(name, 'node_modules'));
  } catch (err) {
    await dispose();
    throw err;
  }
  return { folder, [Symbol.asyncDispose]: dispose };
}

/** What git knows or would take up. */
async function filesOf(root: string): Promise<string[]> {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const { stdout } = await run('git', args, { cwd: root, maxBuffer: 2 ** 26 });
  return [...new Set(stdout.split('\0'))].filter((file) => file !== '');
}

async function copyFile(root: string, folder: string, file: string): Promise<void> {
  const to = join(folder, file);
  await mkdir(dirname(to), { recursive: true });
  // Deleted and not yet committed.
  await cp(join(root, file), to, { verbatimSymlinks: true }).catch(unlessMissing);
}

/** The root's packages are linked one by one, so that what tools write beside them stays in the copy. */
async function linkModules(root: string, folder: string): Promise<void> {
  await mkdir(join(folder, 'node_modules'));
  for (const name of await readdir(join(root, 'node_modules'))) {
    if (name === '.vite' || name === '.vite-temp') continue;
    await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  }
}

/** pnpm's links are relative: those between packages lead to the copy's own. */
async function copyLinks(root: string, folder: string, path: string): Promise<void> {
  const options = { recursive: true, verbatimSymlinks: true };
  await cp(join(root, path), join(folder, path), options).catch(unlessMissing);
}

function unlessMissing(err: NodeJS.ErrnoException): void {
  if (err.code !== 'ENOENT') throw err;
}
