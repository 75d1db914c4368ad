/**
 * Counts as the rows have them now: what deltas should have led to. Reads each
 * row of counts and the rows that it counts in one statement, thus at one
 * moment, so that a count is never found wrong because of what is being
 * written. A crash in the middle of a repair leaves each batch repaired or not.
 */
import { BulkError } from './bulk/error.ts';
import { countsDeferred } from './bulk/state.ts';
import { inTransaction, type Pool } from './pool.ts';

export type CountTable = 'post_agg' | 'profile_agg';

/** A count that is not what its rows say. */
export interface WrongCount {
  table: CountTable;
  /** URI of a record, or DID. */
  key: string;
  column: string;
  held: number;
  counted: number;
}

interface Source {
  column: string;
  table: string;
  key: string;
  unless?: string;
  /** Where counting the rows of the key is not all. */
  counted?: string;
}

/** Quotes are counted by the version that was quoted last: see derived/quote-counts.ts. */
const quotes = `(SELECT count(*) FROM quote q WHERE q.subject = k.key AND q."subjectCid" = (
  SELECT n."subjectCid" FROM quote n
  LEFT JOIN headwater.post_version v ON v.uri = n.uri AND v.kind = 'update'
  WHERE n.subject = k.key ORDER BY greatest(n."sortAt", v.at) DESC, n.uri DESC LIMIT 1))`;

const sources: Record<CountTable, { key: string; of: Source[] }> = {
  post_agg: {
    key: 'uri',
    of: [
      { column: 'likeCount', table: '"like"', key: 'subject' },
      { column: 'repostCount', table: 'repost', key: 'subject' },
      { column: 'replyCount', table: 'post', key: '"replyParent"', unless: '"violatesThreadGate"' },
      { column: 'quoteCount', table: 'quote', key: 'subject', counted: quotes },
    ],
  },
  profile_agg: {
    key: 'did',
    of: [
      { column: 'postsCount', table: 'post', key: 'creator' },
      { column: 'followsCount', table: 'follow', key: 'creator' },
      { column: 'followersCount', table: 'follow', key: '"subjectDid"' },
    ],
  },
};

export const countTables = Object.keys(sources) as CountTable[];

/**
 * Counts all rows and writes it over what is held. Quotes are counted whatever version they are of: see
 * `quotedInVersions`.
 */
export function countAll(table: CountTable): string {
  const { key, of } = sources[table];
  const columns = of.map(({ column }) => `"${column}"`);
  const zeros = of.map(() => '0');
  const parts = of.map(({ table: rows, key: by, unless }, i) => {
    const but = unless === undefined ? '' : ` AND ${unless} IS NOT TRUE`;
    const numbers = zeros.with(i, 'count(*)').join(', ');
    return `SELECT ${by}, ${numbers} FROM ${rows} WHERE ${by} IS NOT NULL${but} GROUP BY 1`;
  });
  const names = of.map((_, i) => `c${i}`);
  return `INSERT INTO ${table} (${key}, ${columns.join(', ')})
    SELECT key, ${names.map((name) => `sum(${name})`).join(', ')}
    FROM (${[...parts, `SELECT ${key}, ${zeros.join(', ')} FROM ${table}`].join(' UNION ALL ')})
      AS counted(key, ${names.join(', ')})
    GROUP BY key ORDER BY key
    ON CONFLICT (${key}) DO UPDATE SET ${columns.map((c) => `${c} = excluded.${c}`).join(', ')}`;
}

/** Posts whose quotes are counted by version, by batches. */
export async function* quotedInVersions(pool: Pick<Pool, 'query'>, batch = 1000): AsyncGenerator<string[]> {
  for (let after = ''; ; ) {
    const { rows } = await pool.query<{ uri: string }>(
      `SELECT uri FROM headwater.quoted_versions WHERE uri > $1
       UNION SELECT uri FROM headwater.post_version WHERE kind = 'update' AND uri > $1
       ORDER BY 1 LIMIT ${batch}`,
      [after],
    );
    if (rows.length > 0) yield rows.map(({ uri }) => uri);
    if (rows.length < batch) return;
    after = rows.at(-1)!.uri;
  }
}

function countedOf({ table, key, unless, counted }: Source): string {
  const but = unless === undefined ? '' : ` AND ${unless} IS NOT TRUE`;
  return counted ?? `(SELECT count(*) FROM ${table} s WHERE s.${key} = k.key${but})`;
}

/** For keys $1: what is held and what is counted, of every column. */
function comparison(table: CountTable): string {
  const { key, of } = sources[table];
  const columns = of.map(
    (source, i) => `coalesce(a."${source.column}", 0)::int8 AS h${i}, ${countedOf(source)} AS c${i}`,
  );
  return `SELECT k.key, ${columns.join(', ')} FROM unnest($1::text[]) AS k(key)
    LEFT JOIN ${table} a ON a.${key} = k.key`;
}

type Compared = { key: string } & Record<string, string>;

/** Only the counts of these keys. @returns those that are wrong */
export async function compareCounts(
  pool: Pick<Pool, 'query'>,
  table: CountTable,
  keys: readonly string[],
): Promise<WrongCount[]> {
  if (keys.length === 0) return [];
  const { rows } = await pool.query<Compared>(comparison(table), [keys]);
  return rows.flatMap((row) =>
    sources[table].of.flatMap(({ column }, i) => {
      const [held, counted] = [Number(row[`h${i}`]), Number(row[`c${i}`])];
      return held === counted ? [] : [{ table, key: row.key, column, held, counted }];
    }),
  );
}

/**
 * Writes what is counted over what is held, of these keys. Deltas that wait
 * for a row meanwhile are of rows that were not counted, and are added after.
 */
export async function repairCounts(pool: Pool, table: CountTable, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  const { key, of } = sources[table];
  const sorted = [...keys].sort();
  const sets = of.map((source) => `"${source.column}" = ${countedOf(source)}`);
  await inTransaction(pool, async (client) => {
    if (await countsDeferred(client))
      throw new BulkError('counts are made at the end of bulk mode: `headwater bulk finish`');
    await client.query(
      `INSERT INTO ${table} (${key}) SELECT * FROM unnest($1::text[]) ON CONFLICT (${key}) DO NOTHING`,
      [sorted],
    );
    await client.query(
      `SELECT FROM ${table} WHERE ${key} = ANY($1) ORDER BY ${key} COLLATE "C" FOR NO KEY UPDATE`,
      [sorted],
    );
    // A statement of its own: it sees what was committed before the rows were locked.
    await client.query(
      `UPDATE ${table} a SET ${sets.join(', ')} FROM unnest($1::text[]) AS k(key) WHERE a.${key} = k.key`,
      [sorted],
    );
  });
}

export interface CountKeysOptions {
  /** As many of each table, chosen by chance; all if left out. */
  sample?: number;
  batch?: number;
}

/** Every key that has counts or should have, by batches. */
export async function* countKeys(
  pool: Pick<Pool, 'query'>,
  { sample, batch = 1000 }: CountKeysOptions = {},
): AsyncGenerator<{ table: CountTable; keys: string[] }> {
  for (const table of countTables) {
    if (sample !== undefined) yield { table, keys: await sampled(pool, table, sample) };
    else yield* all(pool, table, batch);
  }
}

async function sampled(pool: Pick<Pool, 'query'>, table: CountTable, sample: number): Promise<string[]> {
  const { key } = sources[table];
  const { rows } = await pool.query<{ key: string }>(
    `SELECT ${key} AS key FROM ${table} TABLESAMPLE SYSTEM (least(100, 100 * $1::float8 / greatest(1,
      (SELECT reltuples FROM pg_class WHERE oid = '${table}'::regclass)) + 1)) ORDER BY random() LIMIT $1`,
    [sample],
  );
  return rows.map((row) => row.key);
}

async function* all(
  pool: Pick<Pool, 'query'>,
  table: CountTable,
  batch: number,
): AsyncGenerator<{ table: CountTable; keys: string[] }> {
  const { key, of } = sources[table];
  const places = [
    { table, key, lacking: '' },
    ...of.map((source) => ({
      ...source,
      lacking: `AND NOT EXISTS (SELECT FROM ${table} a WHERE a.${key} = s.${source.key})`,
    })),
  ];
  for (const place of places) {
    for (let after = ''; ; ) {
      const { rows } = await pool.query<{ key: string }>(
        `SELECT DISTINCT ${place.key} AS key FROM ${place.table} s WHERE ${place.key} > $1 ${place.lacking}
          ORDER BY 1 LIMIT ${batch}`,
        [after],
      );
      if (rows.length > 0) yield { table, keys: rows.map((row) => row.key) };
      if (rows.length < batch) break;
      after = rows.at(-1)!.key;
    }
  }
}
