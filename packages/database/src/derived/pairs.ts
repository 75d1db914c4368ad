/** Follows and list items, at a moment: who followed whom, who was on which list. */
import type { Client } from '../pool.ts';

type Kind = 'follow' | 'list_item';

/** Present ones and past ones of the pairs asked for. */
const statements: Record<Kind, { name: string; text: string }> = {
  follow: statement('follow', 'creator', 'subjectDid'),
  list_item: statement('list_item', 'listUri', 'subjectDid'),
};

function statement(kind: Kind, a: string, b: string) {
  return {
    name: `pairs ${kind}`,
    text: `SELECT k.a, k.b, t."sortAt" AS since, NULL AS until FROM unnest($1::text[], $2::text[]) AS k(a, b)
        JOIN "${kind}" t ON t."${a}" = k.a AND t."${b}" = k.b
      UNION ALL
      SELECT k.a, k.b, p.since, p.until FROM unnest($1::text[], $2::text[]) AS k(a, b)
        JOIN headwater.past_pair p ON p.kind = '${kind}' AND p.a = k.a AND p.b = k.b`,
  };
}

export class Pairs {
  private spans = new Map<string, { since: string; until: string | null }[]>();

  /** Adds to what is known these pairs of one kind. */
  async load(client: Client, kind: Kind, pairs: Iterable<readonly [a: string, b: string]>): Promise<void> {
    const wanted = [...new Map([...pairs].map((pair) => [pair.join(' '), pair])).values()];
    if (wanted.length === 0) return;
    const { rows } = await client.query<{ a: string; b: string; since: string; until: string | null }>({
      ...statements[kind],
      values: [wanted.map(([a]) => a), wanted.map(([, b]) => b)],
    });
    for (const { a, b, since, until } of rows) {
      const key = `${a} ${b}`;
      const known = this.spans.get(key);
      if (known) known.push({ since, until });
      else this.spans.set(key, [{ since, until }]);
    }
  }

  /** Whether the pair stood at a moment. A follow's key is (creator, subject), a list item's (list, subject). */
  stood(a: string, b: string, moment: string): boolean {
    const spans = this.spans.get(`${a} ${b}`) ?? [];
    return spans.some(({ since, until }) => since <= moment && (until === null || moment < until));
  }
}
