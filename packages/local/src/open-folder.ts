import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isServed } from './previous.ts';

/** What other users than root must reach goes here when it can't stay in a folder for root only (a clone in /root). */
export const OPEN_FOLDER = '/var/lib/headwater';

/**
 * A folder below OPEN_FOLDER that stands in for `folder`: always the same one,
 * by a file `elsewhere` in it. When that file is gone, with its folder or
 * without, so is the stand-in at the next call: whoever deletes `folder` begins anew.
 */
export async function openFolderFor(folder: string): Promise<string> {
  const marker = join(folder, 'elsewhere');
  const known = await textOf(marker);
  if (known !== undefined && (await textOf(join(known, 'belongs-to'))) === marker) return known;
  await mkdir(OPEN_FOLDER, { recursive: true, mode: 0o755 });
  await sweep();
  const open = join(OPEN_FOLDER, randomBytes(6).toString('hex'));
  await mkdir(open);
  // In this order: what belongs to a marker that does not name it is swept by whoever comes.
  await writeFile(marker, open);
  await writeFile(join(open, 'belongs-to'), marker);
  return open;
}

async function sweep(): Promise<void> {
  for (const name of await readdir(OPEN_FOLDER)) {
    const open = join(OPEN_FOLDER, name);
    const marker = await textOf(join(open, 'belongs-to'));
    if (marker === undefined || (await textOf(marker)) === open) continue;
    if (!isServed(join(open, 'data/postmaster.pid'), 'postgres'))
      await rm(open, { recursive: true, force: true });
  }
}

function textOf(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch(() => undefined);
}
