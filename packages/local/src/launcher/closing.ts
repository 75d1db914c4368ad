import { type CollectionCount, isEqual } from './compare.ts';
import { type Display, number, table } from './display.ts';
import type { Pipeline } from './pipeline.ts';

/** The AppView's own table of a collection's records. */
const TABLES: Record<string, string> = {
  'app.bsky.actor.profile': 'profile',
  'app.bsky.feed.generator': 'feed_generator',
  'app.bsky.feed.like': 'like',
  'app.bsky.feed.post': 'post',
  'app.bsky.feed.repost': 'repost',
  'app.bsky.graph.block': 'actor_block',
  'app.bsky.graph.follow': 'follow',
  'app.bsky.graph.list': 'list',
  'app.bsky.graph.listitem': 'list_item',
};

/** Prints the repos of `dids` and their records by collection, PDS against PostgreSQL. Returns whether all is equal. */
export async function showComparison(
  pipeline: Pipeline,
  repos: { pds: number; postgres: number },
  counts: CollectionCount[],
  dids: string[],
): Promise<boolean> {
  const { display } = pipeline.options;
  const rows: (string | number)[][] = [['', 'PDS', 'PostgreSQL', 'own table', '']];
  rows.push(['repos', repos.pds, repos.postgres, '', repos.pds === repos.postgres ? 'equal' : 'differs']);
  for (const count of counts) {
    const own = await rowsOfOwnTable(pipeline, count.collection, dids);
    rows.push([count.collection, count.pds, count.postgres, own, verdict(count)]);
  }
  const sum = (pick: (count: CollectionCount) => number) =>
    counts.reduce((total, count) => total + pick(count), 0);
  const equal = counts.every(isEqual) && repos.pds === repos.postgres;
  rows.push(['all records', sum((c) => c.pds), sum((c) => c.postgres), '', equal ? 'equal' : 'differs']);
  for (const line of table(rows)) display.line(line);
  return equal;
}

function verdict(count: CollectionCount): string {
  if (isEqual(count)) return 'equal';
  const parts = [
    [count.missing, 'missing'],
    [count.extra, 'too many'],
    [count.different, 'different'],
  ] as const;
  const named = parts.filter(([n]) => n > 0).map(([n, what]) => `${number(n)} ${what}`);
  return `differs: ${named.join(', ')}`;
}

/** Rows of the collection's own table; further likes, reposts, follows of the same subject are kept apart. */
async function rowsOfOwnTable(
  { sql, schema }: Pipeline,
  collection: string,
  dids: string[],
): Promise<string | number> {
  const name = TABLES[collection];
  if (name === undefined) return '';
  const [row] = await sql<{ count: number; twice: number }[]>`
    SELECT (SELECT count(*)::int FROM ${sql(schema)}.${sql(name)} WHERE creator = ANY(${dids})) AS count,
      (SELECT count(*)::int FROM ${sql(schema)}.duplicate_record
       WHERE split_part(uri, '/', 3) = ANY(${dids}) AND split_part(uri, '/', 4) = ${collection}) AS twice`;
  return row!.twice === 0 ? row!.count : `${number(row!.count)} + ${row!.twice} twice`;
}

/** How to look at what is there. */
export function showHowToLook(pipeline: Pipeline, display: Display): void {
  const { databaseUrl, redisUrl, schema } = pipeline;
  const redis = `redis-cli -u ${redisUrl}`;
  display.line();
  display.line('Look further:');
  display.line(`  psql '${databaseUrl}' -c 'SELECT uri, json FROM ${schema}.record LIMIT 5'`);
  display.line(`  psql '${databaseUrl}' -c 'SELECT state, count(*) FROM headwater.repo GROUP BY 1'`);
  display.line(`  DATABASE_URL='${databaseUrl}' REDIS_URL=${redisUrl} npm run headwater -- status`);
  display.line(`  ${redis} XINFO GROUPS firehose_live`);
  display.line(`  ${redis} MONITOR      (entries as they pass: docs/contracts.md)`);
  display.line(`  logs of the services: ${pipeline.options.folder}/logs/`);
}
