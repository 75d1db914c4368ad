import type { PostRef, Ref } from '../content/catalog.ts';
import type { Random } from '../content/random.ts';
import { encodeJson, type Json } from '../protocol/cbor.ts';
import { cidOf, cidText } from '../protocol/cid.ts';
import type { World } from './world.ts';

/** How many new posts are talked about. */
const RECENT = 400;

/** Posts to react to: new ones and those from before. */
export class Subjects {
  readonly #world: World;
  #recent: PostRef[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  /** Takes note of a post that is being written. */
  add(uri: string, json: Json): void {
    const cid = cidText(cidOf(encodeJson(json)));
    const reply = json['reply'] as { root: Ref } | undefined;
    this.#recent.unshift(reply ? { uri, cid, root: reply.root } : { uri, cid });
    if (this.#recent.length > RECENT) this.#recent.pop();
  }

  /** Mostly a new one; of the old ones some may be gone by now. */
  draw(random: Random): PostRef {
    const { catalog } = this.#world;
    if (this.#recent.length > 0 && random.chance(0.6))
      return this.#recent[random.popular(this.#recent.length)]!;
    return catalog.postBefore(random, 1) ?? catalog.nowhere(random);
  }
}
