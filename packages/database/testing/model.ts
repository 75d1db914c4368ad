import type { Held } from './world.ts';

export type Tables = Record<string, Record<string, unknown>[]>;

/**
 * What the tables should hold for the records that are there: the plain model, written without the writer's code.
 * Only what depends neither on when nor on how a record came.
 */
export function expectedTables(
  repos: readonly { did: string; records: ReadonlyMap<string, Held> }[],
): Tables {
  const tables: Tables = {
    record: [],
    post: [],
    like: [],
    repost: [],
    follow: [],
    actor_block: [],
    profile: [],
    feed_item: [],
    duplicate_record: [],
  };
  for (const { did, records } of repos) {
    for (const [path, { cid, record }] of records) {
      const uri = `at://${did}/${path}`;
      tables['record']!.push({ uri, cid, did, json: record });
      own(tables, uri, cid, did, record);
    }
  }
  for (const table of ['like', 'repost', 'follow', 'actor_block']) keepFirst(tables, table);
  return { ...tables, ...counts(tables) };
}

// biome-ignore lint/suspicious/noExplicitAny: records of the test's own making
function own(tables: Tables, uri: string, cid: string, creator: string, record: any): void {
  const put = (table: string, row: object) => {
    tables[table]!.push({ uri, cid, creator, ...row });
  };
  const { createdAt, subject } = record;
  switch (record.$type) {
    case 'app.bsky.feed.like':
      put('like', { subject: subject.uri, createdAt });
      break;
    case 'app.bsky.feed.repost':
      tables['feed_item']!.push({ uri, cid, type: 'repost', postUri: subject.uri, originatorDid: creator });
      put('repost', { subject: subject.uri, createdAt });
      break;
    case 'app.bsky.graph.follow':
      put('follow', { subject, createdAt });
      break;
    case 'app.bsky.graph.block':
      put('actor_block', { subject, createdAt });
      break;
    case 'app.bsky.actor.profile':
      put('profile', { displayName: record.displayName });
      break;
    case 'app.bsky.feed.post':
      tables['feed_item']!.push({ uri, cid, type: 'post', postUri: uri, originatorDid: creator });
      put('post', {
        text: record.text.replaceAll('\0', ''),
        replyParent: record.reply?.parent.uri ?? null,
      });
  }
}

/** Of several rows of one creator and subject the first by createdAt and URI stays. */
function keepFirst(tables: Tables, table: string): void {
  const order = (row: Record<string, unknown>) => `${row['createdAt']} ${row['uri']}`;
  const rows = tables[table]!.sort((a, b) => (order(a) < order(b) ? -1 : 1));
  const first = new Map<string, Record<string, unknown>>();
  for (const row of rows) {
    const key = `${row['creator']} ${row['subject']}`;
    const winner = first.get(key);
    if (!winner) first.set(key, row);
    else {
      tables['duplicate_record']!.push({ uri: row['uri'], cid: row['cid'], duplicateOf: winner['uri'] });
    }
  }
  tables[table] = [...first.values()];
}

function counts(tables: Tables): Tables {
  const posts = new Map<string, Record<string, unknown>>();
  const profiles = new Map<string, Record<string, unknown>>();
  const count = (map: typeof posts, key: unknown, column: string) => {
    if (key === null) return;
    const row = map.get(key as string) ?? {};
    map.set(key as string, row);
    row[column] = ((row[column] as number) ?? 0) + 1;
  };
  for (const row of tables['like']!) count(posts, row['subject'], 'likeCount');
  for (const row of tables['repost']!) count(posts, row['subject'], 'repostCount');
  for (const row of tables['post']!) {
    count(posts, row['replyParent'], 'replyCount');
    count(profiles, row['creator'], 'postsCount');
  }
  for (const row of tables['follow']!) {
    count(profiles, row['creator'], 'followsCount');
    count(profiles, row['subject'], 'followersCount');
  }
  return {
    post_agg: [...posts].map(([uri, row]) => ({
      uri,
      likeCount: 0,
      repostCount: 0,
      replyCount: 0,
      quoteCount: 0,
      ...row,
    })),
    profile_agg: [...profiles].map(([did, row]) => ({
      did,
      postsCount: 0,
      followsCount: 0,
      followersCount: 0,
      ...row,
    })),
  };
}
