import type { Label } from '@headwater/events';
import { type Client, inTransaction, type Pool } from './pool.ts';

export interface LabelResult {
  /** Labels now in force or negated by this batch. */
  applied: number;
  /** Older than, or the same as, what is held. */
  unchanged: number;
  /** Left out, by reason. */
  refused: Map<string, number>;
}

/** A label as it is stored: cid '' for none, exp in a form that PostgreSQL reads as a time. */
interface LabelRow {
  src: string;
  uri: string;
  cid: string;
  val: string;
  neg: boolean;
  cts: string;
  exp: string | null;
}

/**
 * Applies labels in any order: of all that were issued for one (src, uri, val) the newest `cts` counts, with a cid or
 * without. A negation is kept as a row with `neg`, which the AppView passes over: it is the memory that an older
 * label must not come back.
 *
 * @throws TransientError when PostgreSQL can't go on
 */
export async function applyLabels(pool: Pool, labels: readonly Label[]): Promise<LabelResult> {
  const result: LabelResult = { applied: 0, unchanged: 0, refused: new Map() };
  const newest = new Map<string, LabelRow>();
  for (const label of labels) {
    const row = rowOf(label);
    if (typeof row === 'string') {
      result.refused.set(row, (result.refused.get(row) ?? 0) + 1);
      continue;
    }
    const key = keyOf(row);
    const known = newest.get(key);
    if (known) result.unchanged++;
    if (!known || isNewer(row, known)) newest.set(key, row);
  }
  if (newest.size === 0) return result;
  result.applied = await inTransaction(pool, (client) => write(client, new Map(newest)));
  result.unchanged += newest.size - result.applied;
  return result;
}

const maxField = 2_000;

/** @returns the row, or why the label is refused */
function rowOf({ src, uri, cid, val, neg, cts, exp }: Label): LabelRow | string {
  const fields = [src, uri, cid ?? '', val, cts];
  if (fields.some((field) => field.includes('\0'))) return 'nul';
  if (src.length + uri.length + (cid ?? '').length + val.length > maxField) return 'too-wide';
  if (!src.startsWith('did:')) return 'bad-src';
  if (Number.isNaN(Date.parse(cts))) return 'bad-cts';
  const row = { src, uri, cid: cid ?? '', val, neg: neg === true, cts };
  if (exp === undefined || exp === null) return { ...row, exp: null };
  const expires = new Date(exp);
  const year = expires.getUTCFullYear();
  // The AppView casts every exp to a timestamp: one that can't be breaks all its answers.
  if (Number.isNaN(year) || year < 1 || year > 9999) return 'bad-exp';
  return { ...row, exp: expires.toISOString() };
}

function keyOf({ src, uri, val }: Pick<LabelRow, 'src' | 'uri' | 'val'>): string {
  return `${src}\n${uri}\n${val}`;
}

/** Of two of the same time the negation counts, then the greater text: whichever comes first, the same one stays. */
function isNewer(a: LabelRow, b: LabelRow): boolean {
  const at = Date.parse(a.cts);
  const bt = Date.parse(b.cts);
  if (at !== bt) return at > bt;
  if (a.neg !== b.neg) return a.neg;
  const rest = (row: LabelRow) => `${row.cts}\n${row.cid}\n${row.exp ?? ''}`;
  return rest(a) > rest(b);
}

const lockClass = 0x6c61;

const lockSources = {
  name: 'label locks',
  text: `SELECT pg_advisory_xact_lock($1, h)
    FROM (SELECT DISTINCT hashtext(src) AS h FROM unnest($2::text[]) AS src ORDER BY h) AS locks`,
};

const readLabels = {
  name: 'labels held',
  text: `SELECT l.* FROM unnest($1::text[], $2::text[], $3::text[]) AS k(src, uri, val)
    JOIN label l ON l.src = k.src AND l.uri = k.uri AND l.val = k.val`,
};

const deleteLabels = {
  name: 'labels delete',
  text: `DELETE FROM label l USING unnest($1::text[], $2::text[], $3::text[]) AS k(src, uri, val)
    WHERE l.src = k.src AND l.uri = k.uri AND l.val = k.val`,
};

const insertLabels = {
  name: 'labels insert',
  text: `INSERT INTO label (src, uri, cid, val, neg, cts, exp)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::text[], $7::text[])`,
};

async function write(client: Client, newest: Map<string, LabelRow>): Promise<number> {
  const rows = [...newest.values()];
  // A labeler's labels come from one subscription: its batches may as well queue.
  await client.query({ ...lockSources, values: [lockClass, rows.map((row) => row.src)] });
  const { rows: held } = await client.query<LabelRow>({ ...readLabels, values: keysOf(rows) });
  for (const row of held) {
    const wanted = newest.get(keyOf(row));
    if (wanted && !isNewer(wanted, row)) newest.delete(keyOf(row));
  }
  const todo = [...newest.values()];
  if (todo.length === 0) return 0;
  await client.query({ ...deleteLabels, values: keysOf(todo) });
  await client.query({
    ...insertLabels,
    values: [
      todo.map((l) => l.src),
      todo.map((l) => l.uri),
      todo.map((l) => l.cid),
      todo.map((l) => l.val),
      todo.map((l) => l.neg),
      todo.map((l) => l.cts),
      todo.map((l) => l.exp),
    ],
  });
  return todo.length;
}

function keysOf(rows: readonly LabelRow[]): string[][] {
  return [rows.map((row) => row.src), rows.map((row) => row.uri), rows.map((row) => row.val)];
}
