import type { TestServer } from './postgres-server.ts';

export interface TableFingerprint {
  readonly rows: string;
  /** Independent of the order of the rows. */
  readonly hash: string;
}

/** Of every ordinary table outside the system's schemas, by `schema.table`. */
export type Fingerprint = Readonly<Record<string, TableFingerprint>>;

const USER_RELATIONS = `pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and c.relpersistence = 'p'`;

/**
 * Row counts and hashes of everything in the database `postgres`, in one snapshot: equal for two servers that hold the
 * same rows. Needs no write, so it works on a standby.
 */
export async function fingerprint(server: Pick<TestServer, 'client'>): Promise<Fingerprint> {
  const client = await server.client();
  try {
    await client.query('begin transaction isolation level repeatable read, read only');
    const tables = await client.query<{ name: string }>(
      `select format('%I.%I', n.nspname, c.relname) as name from ${USER_RELATIONS} and c.relkind = 'r' order by 1`,
    );
    const result: Record<string, TableFingerprint> = {};
    for (const { name } of tables.rows) {
      const answer = await client.query<{ rows: string; hash: string }>(
        `select count(*) as rows, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) as hash from ${name} t`,
      );
      const [row] = answer.rows;
      if (row !== undefined) result[name] = { rows: row.rows, hash: row.hash };
    }
    await client.query('commit');
    return result;
  } finally {
    await client.end();
  }
}

/**
 * Has amcheck look at every B-tree of the database `postgres`, the catalog's too, and that each row of a user's table is
 * in its indexes. The extension must have been created (on the original, before). @returns how many indexes were checked
 */
export async function checkIndexes(server: TestServer): Promise<number> {
  const rows = await server.query(
    `select bt_index_check(i.indexrelid, n.nspname not in ('pg_catalog', 'pg_toast')) from pg_index i
       join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
       join pg_am a on a.oid = c.relam and a.amname = 'btree'
     where c.relkind = 'i' and c.relpersistence = 'p' and i.indisready and i.indisvalid`,
  );
  return rows.length;
}
