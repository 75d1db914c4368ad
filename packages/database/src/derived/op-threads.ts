/** Replies of a thread's first author in it: the AppView walks them, over deleted ones too. */
import type { Client } from '../pool.ts';
import type { Judged } from './judging.ts';
import type { Post } from './posts.ts';
import type { Targets } from './targets.ts';
import { authorityOf } from './uris.ts';

// Once deleted or edited it stays marked, as officially.
const put = {
  name: 'op thread reply put',
  text: `INSERT INTO op_thread_reply ("rootUri", "parentUri", uri, "deletedAt")
    SELECT DISTINCT ON (root, uri) root, parent, uri, gone
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS u(root, parent, uri, gone)
    ORDER BY root, uri, gone NULLS LAST
    ON CONFLICT ("rootUri", uri) DO UPDATE SET "deletedAt" = excluded."deletedAt"
      WHERE op_thread_reply."deletedAt" IS NULL AND excluded."deletedAt" IS NOT NULL`,
};

export async function writeOpThreads(client: Client, targets: Targets, judged: Judged): Promise<void> {
  const named = [...targets.posts.keys()].flatMap((uri) => [
    ...(judged.posts.get(uri) ? [judged.posts.get(uri)!] : []),
    ...(judged.past.get(uri) ? [judged.past.get(uri)!] : []),
  ]);
  const replies = named.filter(
    (p) => p.root !== null && p.parent !== null && authorityOf(p.root) === p.creator,
  );
  if (replies.length === 0) return;
  const values = [
    replies.map((p) => p.root),
    replies.map((p) => p.parent),
    replies.map((p) => p.uri),
    replies.map(goneAt),
  ];
  await client.query({ ...put, values });
}

function goneAt(post: Post): string | null {
  return post.until ?? (post.edited ? post.moment : null);
}
