/** Thread gates and post gates: which version was in force at a moment, and what it allows. */
import type { Lexical } from '../collections/collection.ts';
import type { Client } from '../pool.ts';

interface GateVersion {
  /** From when it was in force. */
  at: string;
  /** null: lifted. */
  record: Lexical | null;
}

/** Every known version of some gates. */
export class Gates {
  private versions = new Map<string, GateVersion[]>();

  static async load(client: Client, uris: Iterable<string>): Promise<Gates> {
    const gates = new Gates();
    const wanted = [...new Set(uris)];
    if (wanted.length === 0) return gates;
    const { rows } = await client.query<{ uri: string; at: string; json: string | null }>({
      name: 'gates',
      text: 'SELECT uri, at, json FROM headwater.gate WHERE uri = ANY($1) ORDER BY uri, rev',
      values: [wanted],
    });
    for (const { uri, at, json } of rows) gates.add(uri, at, json);
    return gates;
  }

  /** In the order of revs. A version is never in force before the one that it follows. */
  private add(uri: string, at: string, json: string | null): void {
    const known = this.versions.get(uri);
    const before = known?.at(-1)?.at ?? '';
    const version = { at: at < before ? before : at, record: json === null ? null : JSON.parse(json) };
    if (known) known.push(version);
    else this.versions.set(uri, [version]);
  }

  /** The gate as it stood at a moment; null where there was none. */
  at(uri: string, moment: string): Lexical | null {
    return this.versions.get(uri)?.findLast((v) => v.at <= moment)?.record ?? null;
  }

  /** Whether the present version stands for this post and is not older than the post's. */
  isOn(uri: string, post: string, moment: string): boolean {
    const last = this.versions.get(uri)?.at(-1);
    return last?.record?.post === post && last!.at >= moment;
  }
}

/** What a thread gate asks of who replies; null: anybody may. */
export interface ReplyRules {
  mentioned: boolean;
  follower: boolean;
  following: boolean;
  lists: string[];
}

export function replyRules(gate: Lexical | null): ReplyRules | null {
  if (!gate?.allow) return null;
  const of = (name: string) =>
    gate.allow.filter((r: Lexical) => r.$type === `app.bsky.feed.threadgate#${name}`);
  return {
    mentioned: of('mentionRule').length > 0,
    follower: of('followerRule').length > 0,
    following: of('followingRule').length > 0,
    lists: of('listRule').map((rule: Lexical) => rule.list as string),
  };
}

/** Whether a post gate forbids others to embed the post. */
export function forbidsEmbedding(gate: Lexical | null): boolean {
  const rules = gate?.embeddingRules ?? [];
  return rules.some((rule: Lexical) => rule.$type === 'app.bsky.feed.postgate#disableRule');
}
