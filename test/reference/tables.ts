import pg from 'pg';

/** The rows of every table, normalised, by table and then by key. */
export type Tables = Map<string, Map<string, Row>>;
type Row = Record<string, unknown>;

interface Rule {
  /** Columns that name a row. Rows with the same key are told apart by number. */
  key: string[];
  drop?: string[];
  change?: (row: Row) => Row | null;
}

const byUri: Rule = { key: ['uri'] };

/**
 * The tables that the AppView reads and that are filled from records, each
 * with what has to be taken out before two of them can be compared.
 */
const RULES: Record<string, Rule> = {
  actor: { key: ['did'], drop: ['indexedAt'] },
  actor_sync: { key: ['did'] },
  record: { ...byUri, drop: ['rev'], change: known },
  post: { ...byUri, change: flags },
  feed_item: byUri,
  post_agg: { ...byUri, change: notAllZero },
  profile_agg: { key: ['did'], change: notAllZero },
  like: byUri,
  repost: byUri,
  follow: byUri,
  // Without a createdAt in the record this column is the moment of indexing.
  profile: {
    ...byUri,
    change: (r) => (r['hasCreatedAt'] ? r : { ...r, createdAt: 'now' }),
    drop: ['hasCreatedAt'],
  },
  quote: byUri,
  notification: {
    key: ['recordUri', 'did', 'reason', 'author'],
    drop: ['id'],
    change: (r) => (r['reason'] === 'unverified' ? { ...r, sortAt: 'now' } : r),
  },
  op_thread_reply: {
    key: ['rootUri', 'uri'],
    change: (r) => ({ ...r, deletedAt: r['deletedAt'] === null ? null : 'deleted' }),
  },
  actor_block: byUri,
  list: byUri,
  list_item: byUri,
  list_block: byUri,
  feed_generator: byUri,
  labeler: byUri,
  starter_pack: byUri,
  verification: byUri,
  reference_list_opt_out: byUri,
  post_embed_image: { key: ['postUri', 'position'] },
  post_embed_gallery_image: { key: ['postUri', 'position'] },
  post_embed_video: { key: ['postUri'] },
  // Not read by the AppView, but part of what its indexer makes of a record.
  post_embed_external: { key: ['postUri'] },
  post_embed_record: { key: ['postUri', 'embedUri'] },
  thread_gate: byUri,
  post_gate: byUri,
};

export interface DumpOptions {
  schema?: string;
  /** Keep `indexedAt`, where both sides were given the same times. */
  indexedAt?: boolean;
}

/**
 * Reads every table that the AppView reads and that records fill.
 *
 * What can't be equal is taken out: serial ids, `indexedAt` (unless asked
 * for), times taken from the clock, null against false in a post's flags
 * (the AppView reads both as false), counters of nothing.
 */
export async function dumpTables(url: string, options: DumpOptions = {}): Promise<Tables> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const tables: Tables = new Map();
    for (const [table, rule] of Object.entries(RULES)) {
      const { rows } = await client.query(queryOf(client, options.schema ?? 'bsky', table));
      tables.set(table, normalise(rows, rule, options));
    }
    return tables;
  } finally {
    await client.end();
  }
}

function queryOf(client: pg.Client, schema: string, table: string): string {
  const [s, t] = [client.escapeIdentifier(schema), client.escapeIdentifier(table)];
  if (table !== 'profile') return `SELECT * FROM ${s}.${t} ORDER BY 1`;
  return `SELECT t.*, (r.json::jsonb ? 'createdAt') AS "hasCreatedAt" FROM ${s}.${t} t
          LEFT JOIN ${s}.record r USING (uri) ORDER BY t.uri`;
}

function normalise(rows: Row[], rule: Rule, options: DumpOptions): Map<string, Row> {
  const result = new Map<string, Row>();
  const plain = rows.map((row) => (rule.change ? rule.change(row) : row)).filter((row) => row !== null);
  for (const row of plain) for (const column of rule.drop ?? []) delete row[column];
  if (!options.indexedAt) for (const row of plain) delete row['indexedAt'];
  for (const row of plain.sort((a, b) => compare(text(a), text(b)))) {
    const key = rule.key.map((column) => String(row[column])).join(' ');
    let n = 1;
    while (result.has(n === 1 ? key : `${key} #${n}`)) n++;
    result.set(n === 1 ? key : `${key} #${n}`, row);
  }
  return result;
}

/** The official indexer has no use for lexicons that it doesn't know. */
function known(row: Row): Row | null {
  if ((row['uri'] as string).includes('/org.example.')) return null;
  return { ...row, json: sorted(JSON.parse(row['json'] as string)) };
}

function flags(row: Row): Row {
  const names = [
    'invalidReplyRoot',
    'violatesThreadGate',
    'violatesEmbeddingRules',
    'hasThreadGate',
    'hasPostGate',
  ];
  return { ...row, ...Object.fromEntries(names.map((name) => [name, row[name] === true])) };
}

function notAllZero(row: Row): Row | null {
  const counts = Object.keys(row).filter((column) => column.endsWith('Count'));
  for (const column of counts) row[column] = Number(row[column]);
  return counts.every((column) => row[column] === 0) ? null : row;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => compare(a, b));
  return Object.fromEntries(entries.map(([k, v]) => [k, sorted(v)]));
}

export function text(row: Row): string {
  return JSON.stringify(sorted(row));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
