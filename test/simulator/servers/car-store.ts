import { hash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Account } from '../world/account.ts';
import type { WorldOptions } from '../world/world.ts';

/** To be raised whenever the same options make other repos than before. */
const CONTENT = 3;

/**
 * CARs of unchanged repos on disk, for benchmarks: made once, then served
 * without cost. One folder holds those of any number of networks.
 */
export class CarStore {
  readonly #folder: string;

  constructor(parent: string, { seed, repos, recordsPerRepo, sizes, p256, hosts, even }: WorldOptions) {
    const key = JSON.stringify([CONTENT, seed, repos, recordsPerRepo, sizes ?? {}, p256, hosts, even]);
    this.#folder = join(parent, hash('sha256', key).slice(0, 16));
    mkdirSync(this.#folder, { recursive: true });
  }

  /** The file of an account's CAR; `make` is called when there is none. */
  path(account: Account, make: () => Buffer): string {
    const path = join(this.#folder, `${account.index}.car`);
    if (existsSync(path)) return path;
    const unfinished = `${path}.${process.pid}`;
    writeFileSync(unfinished, make());
    renameSync(unfinished, path);
    return path;
  }
}
