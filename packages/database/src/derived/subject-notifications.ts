/** Who is told of likes, reposts, follows, verifications, and of who joined by a starter pack. */
import { cellOf, type PackedRow } from '../packed-rows.ts';
import type { Op, Version } from '../prepare.ts';
import type { Changes } from './derivation.ts';
import { momentOfRev, momentOfRow } from './moment.ts';
import { addNotifications, type Notification, removeNotifications } from './notifications.ts';
import { outcomesOf, overtaken } from './outcomes.ts';
import type { Targets } from './targets.ts';
import { authorityOf, postNsid } from './uris.ts';

const verificationNsid = 'app.bsky.graph.verification';
const profileNsid = 'app.bsky.actor.profile';
const ofRows = ['like', 'repost', 'follow', 'verification'] as const;

/** What a removed record told goes with it; what was told of a verification stays, with the news of its end. */
const forgotten = new Set(['app.bsky.feed.like', 'app.bsky.feed.repost', 'app.bsky.graph.follow', postNsid]);

export async function writeSubjectNotifications(changes: Changes, targets: Targets): Promise<void> {
  if (targets.news.size === 0) return;
  const told = [...tellRows(changes, targets)];
  await addNotifications(changes.client, told);
  await tellOnce(changes, [...tellVersions(changes, targets)]);
}

/** Forgets what was told of records that are gone, and of those that lost their place to an earlier one of the same subject. */
export async function forgetNotifications({ client, removed, deletedRows }: Changes): Promise<void> {
  const gone = removed.filter((uri) => forgotten.has(uri.split('/', 4)[3]!));
  const really = new Set(removed);
  const displaced = ofRows.flatMap((table) =>
    (deletedRows.get(table) ?? []).map((row) => row['owner'] as string).filter((uri) => !really.has(uri)),
  );
  await removeNotifications(client, [...gone, ...displaced]);
}

function* tellRows({ insertedRows, written, ops }: Changes, targets: Targets): Generator<Notification> {
  const updates = new Set(ops.filter((op) => op.update).map((op) => op.uri));
  const named = new Set(written.map((version) => version.uri));
  for (const table of ofRows) {
    for (const row of insertedRows.get(table) ?? []) {
      const uri = cellOf(row, 'uri')!;
      // An heir is not named; it is told of as the one whose place it takes would have been.
      if (named.has(uri) && !targets.news.has(uri)) continue;
      if (table === 'verification' && updates.has(uri)) continue;
      yield* ofRow(table, row);
    }
  }
}

function* ofRow(table: (typeof ofRows)[number], row: PackedRow): Generator<Notification> {
  const value = (column: string) => cellOf(row, column);
  const author = value('creator')!;
  const common = {
    author,
    recordUri: value('uri')!,
    recordCid: value('cid')!,
    sortAt: momentOfRow(row),
  };
  if (table === 'follow') {
    yield { ...common, did: value('subjectDid')!, reason: 'follow', reasonSubject: null };
    return;
  }
  if (table === 'verification') {
    yield { ...common, did: value('subject')!, reason: 'verified', reasonSubject: null };
    return;
  }
  const [subject, via] = [value('subject')!, value('via')];
  if (authorityOf(subject) === author) return;
  yield { ...common, did: authorityOf(subject), reason: table, reasonSubject: subject };
  if (via === null || authorityOf(via) === author) return;
  yield { ...common, did: authorityOf(via), reason: `${table}-via-repost`, reasonSubject: via };
}

/** What is told of a version, whether it is still there or was overtaken before it came. */
function* tellVersions(changes: Changes, targets: Targets): Generator<Notification> {
  for (const outcome of outcomesOf(changes, new Set([verificationNsid, profileNsid]))) {
    if (!targets.news.has(outcome.uri)) continue;
    if (outcome.nsid === profileNsid) yield* joined(outcome.ops);
    else {
      for (const version of overtaken(outcome)) {
        // The same version, delivered again.
        if (version.cid === outcome.present?.cid) continue;
        const edit = outcome.ops.some((op) => op.update && op.version === version);
        if (!edit) yield* ofVerification(version, 'verified');
        yield* ofVerification(version, 'unverified');
      }
    }
  }
  const really = new Set(changes.removed);
  for (const row of changes.deletedRows.get('verification') ?? []) {
    const { owner, creator, subject, cid } = row as Record<string, string>;
    if (!really.has(owner!) || !targets.news.has(owner!)) continue;
    const sortAt = momentOfRev(changes.ops.findLast((op) => op.uri === owner)!.rev);
    yield notice(owner!, cid!, creator!, subject!, 'unverified', sortAt);
  }
}

function* ofVerification(version: Version, reason: 'verified' | 'unverified'): Generator<Notification> {
  const row = version.rows[0];
  if (!row) return;
  const subject = cellOf(row, 'subject')!;
  yield notice(version.uri, version.cid, version.did, subject, reason, momentOfRow(row));
}

function notice(
  recordUri: string,
  recordCid: string,
  author: string,
  did: string,
  reason: string,
  sortAt: string,
): Notification {
  return { did, author, recordUri, recordCid, reason, reasonSubject: null, sortAt };
}

/** A profile says by which starter pack its account joined; only its first version is news. */
function* joined(ops: readonly Op[]): Generator<Notification> {
  for (const { version, update } of ops) {
    const row = version?.rows[0];
    const pack = row && cellOf(row, 'joinedViaStarterPackUri');
    if (!pack || update) continue;
    const { uri: recordUri, cid: recordCid, did: author, indexedAt: sortAt } = version!;
    const did = authorityOf(pack);
    yield { did, author, recordUri, recordCid, reason: 'starterpack-joined', reasonSubject: pack, sortAt };
  }
}

const known = {
  name: 'notifications known',
  text: `SELECT "recordUri" || ' ' || "recordCid" || ' ' || reason AS key FROM notification WHERE "recordUri" = ANY($1)`,
};

/** Adds those of which there is none yet of the same version and reason. */
async function tellOnce({ client }: Changes, wanted: readonly Notification[]): Promise<void> {
  if (wanted.length === 0) return;
  const { rows } = await client.query<{ key: string }>({
    ...known,
    values: [wanted.map((n) => n.recordUri)],
  });
  const there = new Set(rows.map((row) => row.key));
  const missing = new Map(wanted.map((n) => [`${n.recordUri} ${n.recordCid} ${n.reason}`, n]));
  for (const key of there) missing.delete(key);
  await addNotifications(client, [...missing.values()]);
}
