import { createHash } from 'node:crypto';
import type { Redis } from './connect.ts';
import { replyCode } from './errors.ts';

/**
 * A Lua script run by its hash, loaded where the server does not know it
 * (after a restart, a failover, on another node). All its keys share a slot,
 * and it runs as a whole or not at all. Redis 7.0 and its flags: scripts marked
 * `allow-oom` free at least what they write, so that a full Redis can be emptied.
 */
export class Script {
  readonly #source: string;
  readonly #sha: string;

  constructor(source: string) {
    this.#source = source;
    this.#sha = createHash('sha1').update(source).digest('hex');
  }

  /** @returns the script's answer, integers as numbers, texts as strings, nil as null */
  async run(
    redis: Redis,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
  ): Promise<unknown> {
    try {
      return await redis.evalsha(this.#sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (replyCode(error) !== 'NOSCRIPT') throw error;
      return await redis.eval(this.#source, keys.length, ...keys, ...args);
    }
  }

  /** As `run`, with texts as the bytes they are. */
  async runBuffer(
    redis: Redis,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
  ): Promise<unknown> {
    try {
      return await redis.callBuffer('EVALSHA', this.#sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (replyCode(error) !== 'NOSCRIPT') throw error;
      return await redis.callBuffer('EVAL', this.#source, keys.length, ...keys, ...args);
    }
  }
}
