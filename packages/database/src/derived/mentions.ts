/** Whom the first posts of threads mention: a gate may let them reply. */
import type { Lexical } from '../collections/collection.ts';
import type { Client } from '../pool.ts';
import { together } from '../together.ts';
import type { Threads } from './posts.ts';

/** The DIDs that a post's facets mention, in their order. */
export function mentionsOf(record: Lexical): string[] {
  const features = (record.facets ?? []).flatMap((facet: Lexical) => facet.features);
  return features
    .filter((feature: Lexical) => feature.$type === 'app.bsky.richtext.facet#mention')
    .map((feature: Lexical) => feature.did);
}

const records = {
  name: 'mentioning records',
  text: `SELECT uri, json FROM record WHERE uri = ANY($1) AND json LIKE '%facet#mention%'`,
};

/** The DIDs that each of these posts mentions, as they are now; none for those that mention nobody. */
export async function loadMentions(client: Client, uris: readonly string[]): Promise<Map<string, string[]>> {
  if (uris.length === 0) return new Map();
  const { rows } = await client.query<{ uri: string; json: string }>({ ...records, values: [uris] });
  return new Map(rows.map(({ uri, json }) => [uri, mentionsOf(JSON.parse(json))]));
}

/** What posts mentioned, at a moment. */
export class Mentions {
  private versions = new Map<string, { moment: string; dids: readonly string[] }[]>();

  /** @param threads where these posts are, or are read into */
  static async load(client: Client, threads: Threads, uris: readonly string[]): Promise<Mentions> {
    const mentions = new Mentions();
    const [present] = await together(loadMentions(client, uris), threads.load(uris));
    for (const uri of new Set(uris)) {
      for (const { moment, mentions: dids } of threads.before(uri)) mentions.add(uri, moment, dids);
      const now = threads.now(uri);
      if (now) mentions.add(uri, now.moment, present.get(uri) ?? []);
    }
    return mentions;
  }

  private add(uri: string, moment: string, dids: readonly string[]): void {
    const known = this.versions.get(uri);
    if (known) known.push({ moment, dids });
    else this.versions.set(uri, [{ moment, dids }]);
  }

  at(uri: string | null, moment: string): readonly string[] {
    return this.versions.get(uri ?? '')?.findLast((version) => version.moment <= moment)?.dids ?? [];
  }
}
