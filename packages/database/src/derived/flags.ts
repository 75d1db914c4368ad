/** Writes what posts were judged to be. */
import type { Client } from '../pool.ts';
import type { PastVersion, PresentPost } from './posts.ts';
import type { Verdict } from './verdicts.ts';

const versionFlags = (lock: string) => `WITH free AS (
    SELECT v.uri, v.rev, k.invalid FROM unnest($1::text[], $2::text[], $3::bool[]) AS k(uri, rev, invalid)
    JOIN headwater.post_version v ON v.uri = k.uri AND v.rev = k.rev ORDER BY v.uri, v.rev ${lock}
  )
  UPDATE headwater.post_version v SET invalid = free.invalid FROM free WHERE v.uri = free.uri AND v.rev = free.rev`;
const versionsAtOnce = {
  name: 'post version flag',
  text: versionFlags('FOR NO KEY UPDATE OF v SKIP LOCKED'),
};
const versionsPatiently = {
  name: 'post version flag, waiting',
  text: versionFlags('FOR NO KEY UPDATE OF v'),
};

/** @param patient whether to wait for versions that another is writing, or to leave them out */
export async function flagVersions(
  client: Client,
  versions: readonly PastVersion[],
  patient: boolean,
): Promise<void> {
  if (versions.length === 0) return;
  await client.query({
    ...(patient ? versionsPatiently : versionsAtOnce),
    values: [versions.map((v) => v.uri), versions.map((v) => v.rev), versions.map((v) => v.invalidReplyRoot)],
  });
}

const flags = [
  'invalidReplyRoot',
  'violatesThreadGate',
  'violatesEmbeddingRules',
  'hasThreadGate',
  'hasPostGate',
] as const;

export type Flagged = Verdict & { uri: string };

/** A post of which nothing is to be said. */
export const noFlags: Verdict = {
  invalidReplyRoot: false,
  violatesThreadGate: false,
  violatesEmbeddingRules: false,
  hasThreadGate: false,
  hasPostGate: false,
};

/** Whether a verdict is another than the one that is written. */
export function differs(post: PresentPost, verdict: Verdict): boolean {
  return flags.some((flag) => post[flag] !== verdict[flag]);
}

// The row's lock is taken first, in the order of URIs: what was there before is then what is counted.
// A flag that is not set is NULL, as in a post that was never judged: the row must not tell how it came to be so.
const flagging = (lock: string) => `WITH before AS (
      SELECT uri, coalesce("violatesThreadGate", false) AS violates FROM post WHERE uri = ANY($1)
      ORDER BY uri ${lock}
    ), verdict AS (
      SELECT * FROM unnest($1::text[], $2::bool[], $3::bool[], $4::bool[], $5::bool[], $6::bool[])
        AS v(uri, ${flags.map((flag) => `"${flag}"`).join(', ')})
    )
    UPDATE post p SET ${flags.map((flag) => `"${flag}" = nullif(v."${flag}", false)`).join(', ')}
    FROM verdict v JOIN before b ON b.uri = v.uri WHERE p.uri = v.uri
    RETURNING p."replyParent" AS parent, b.violates AS before, coalesce(p."violatesThreadGate", false) AS now`;

// What is skipped was judged otherwise than it is, and so is looked at again.
const putAtOnce = { name: 'post flags put', text: flagging('FOR NO KEY UPDATE SKIP LOCKED') };
const putPatiently = { name: 'post flags put, waiting', text: flagging('FOR NO KEY UPDATE') };

/**
 * @param patient whether to wait for posts that another is writing, or to leave them out
 * @returns of those that it wrote, whether each violated its thread's gate before, and does so now
 */
export async function flagPosts(
  client: Client,
  posts: readonly Flagged[],
  patient: boolean,
): Promise<{ parent: string | null; before: boolean; now: boolean }[]> {
  if (posts.length === 0) return [];
  const { rows } = await client.query<{ parent: string | null; before: boolean; now: boolean }>({
    ...(patient ? putPatiently : putAtOnce),
    values: [posts.map((p) => p.uri), ...flags.map((flag) => posts.map((p) => p[flag]))],
  });
  return rows;
}
