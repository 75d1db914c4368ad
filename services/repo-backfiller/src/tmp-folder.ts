import { mkdir, readdir, stat, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Older files of ours have no owner: a spool file loses its name as soon as it is open. */
const ABANDONED_MS = 60_000;

/** Makes the folder of the spool files and removes what a crash between opening and unnaming may have left. */
export async function cleanTmpFolder(setting: string | undefined): Promise<string> {
  const folder = setting ?? join(tmpdir(), 'headwater-backfiller');
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) {
    if (!/^headwater-.*\.car$/.test(name)) continue;
    const path = join(folder, name);
    const age = await stat(path).then(
      (s) => Date.now() - s.mtimeMs,
      () => 0,
    );
    if (age > ABANDONED_MS) await unlink(path).catch(() => {});
  }
  return folder;
}
