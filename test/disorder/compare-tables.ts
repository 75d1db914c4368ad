import type pg from 'pg';

/** Tables that hold one row for each record of a collection. */
const OWN_TABLES: Record<string, string> = {
  post: 'app.bsky.feed.post',
  like: 'app.bsky.feed.like',
  repost: 'app.bsky.feed.repost',
  feed_generator: 'app.bsky.feed.generator',
  thread_gate: 'app.bsky.feed.threadgate',
  post_gate: 'app.bsky.feed.postgate',
  follow: 'app.bsky.graph.follow',
  actor_block: 'app.bsky.graph.block',
  list: 'app.bsky.graph.list',
  list_item: 'app.bsky.graph.listitem',
  list_block: 'app.bsky.graph.listblock',
  starter_pack: 'app.bsky.graph.starterpack',
  profile: 'app.bsky.actor.profile',
  labeler: 'app.bsky.labeler.service',
};

/**
 * Holds the tables that records fill against `record`: every record has its
 * row (or is known as the duplicate of one that has), every row its record,
 * and both are of the same version.
 */
export async function compareTables(client: pg.Client): Promise<string[]> {
  const differences: string[] = [];
  for (const [table, collection] of Object.entries(OWN_TABLES)) {
    const { rows } = await client.query<{ uri: string; record: string | null; own: string | null }>(
      `SELECT uri, r.cid AS record, t.cid AS own
       FROM (SELECT uri, cid FROM record WHERE split_part(uri, '/', 4) = $1
             AND uri NOT IN (SELECT uri FROM duplicate_record)) r
       FULL JOIN "${table}" t USING (uri) WHERE r.cid IS DISTINCT FROM t.cid`,
      [collection],
    );
    for (const { uri, record, own } of rows) {
      // An account has one profile, whatever else lies beside it.
      if (table === 'profile' && own === null && !uri.endsWith('/self')) continue;
      differences.push(`${table} ${uri} has ${own} where record has ${record}`);
    }
  }
  // A repost loses its item with the post that it reposts.
  const { rows: items } = await client.query<{ uri: string; item: boolean }>(
    `SELECT uri, f.uri IS NOT NULL AS item
     FROM (SELECT uri, collection FROM record, split_part(uri, '/', 4) AS collection
           WHERE collection IN ('app.bsky.feed.post', 'app.bsky.feed.repost')) r
     FULL JOIN feed_item f USING (uri)
     WHERE r.uri IS NULL OR (f.uri IS NULL AND r.collection = 'app.bsky.feed.post')`,
  );
  for (const { uri, item } of items) {
    differences.push(`feed_item ${uri} ${item ? 'should not be there' : 'is missing'}`);
  }
  return differences;
}
