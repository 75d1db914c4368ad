/** Replies of a thread's first author in it: the AppView walks them, over deleted ones too. */
import type { Client } from '../pool.ts';
import type { Judged } from './judging.ts';
import type { PostVersion, Threads } from './posts.ts';
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
  const settled = judged.opReplies.filter(({ uri }) => targets.posts.has(uri));
  const replies: OpReply[] = settled.map((reply) => ({ ...reply, gone: null }));
  for (const uri of targets.posts.keys()) replies.push(...opReplies(uri, judged.threads));
  if (replies.length === 0) return;
  const values = (['root', 'parent', 'uri', 'gone'] as const).map((column) => replies.map((r) => r[column]));
  await client.query({ ...put, values });
}

interface OpReply {
  root: string;
  parent: string;
  uri: string;
  gone: string | null;
}

function opReplies(uri: string, threads: Threads): OpReply[] {
  const before = threads.before(uri);
  const gone = before.filter((version) => version.kind !== 'create').at(-1)?.moment ?? null;
  const versions: PostVersion[] = [...before, ...(threads.now(uri) ? [threads.now(uri)!] : [])];
  return versions.flatMap(({ root, parent, creator }) =>
    root !== null && parent !== null && authorityOf(root) === creator ? [{ root, parent, uri, gone }] : [],
  );
}
