import { createHash } from 'node:crypto';
import type { Redis } from './connect.ts';
import { replyCode } from './errors.ts';

type Argument = string | number | Buffer;

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
  run(redis: Redis, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return this.#send((...script) => redis.call(...script, keys.length, ...keys, ...args));
  }

  /** As `run`, with texts as the bytes they are. */
  runBuffer(redis: Redis, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return this.#send((...script) => redis.callBuffer(...script, keys.length, ...keys, ...args));
  }

  async #send(call: (command: string, script: string) => Promise<unknown>): Promise<unknown> {
    try {
      return await call('EVALSHA', this.#sha);
    } catch (error) {
      if (replyCode(error) !== 'NOSCRIPT') throw error;
      return await call('EVAL', this.#source);
    }
  }
}
