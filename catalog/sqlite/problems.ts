import type { CatalogDatabase } from './database.ts';

interface Finding {
  readonly repository: string;
  readonly cluster: string;
  readonly timeline: bigint;
  readonly first: bigint;
}

/** Runs of neighbouring segments: those whose number minus their rank is the same. */
const TRUE_RANGES = `
  SELECT archive, timeline, min(segment) AS first, max(segment) AS last, sum(stored_bytes) AS stored_bytes
  FROM (SELECT archive, timeline, segment, stored_bytes,
          segment - row_number() OVER (PARTITION BY archive, timeline ORDER BY segment) AS run
        FROM wal_file WHERE kind = 'segment')
  GROUP BY archive, timeline, run`;

const TRUE_BLOCKS = `
  SELECT archive, timeline, segment / 256 AS block, min(first_commit) AS first_commit, max(last_commit) AS last_commit
  FROM wal_file WHERE kind = 'segment' GROUP BY archive, timeline, segment / 256`;

const RANGES = 'SELECT archive, timeline, first, last, stored_bytes FROM wal_range';
const BLOCKS = 'SELECT archive, timeline, block, first_commit, last_commit FROM wal_block';

/** What is wrong with the file, or with what Walden keeps beside the rows, in words. Reads all of it. */
export function catalogProblems(database: CatalogDatabase): readonly string[] {
  const damage = database.prepare<[], string>('PRAGMA integrity_check(20)').pluck().all();
  const broken = damage.filter((line) => line !== 'ok').map((line) => `the database is damaged: ${line}`);
  // On a damaged file the other questions may fail, and their answers mean nothing.
  if (broken.length > 0) return broken;
  return [...orphans(database), ...wrongRanges(database), ...wrongBlocks(database), ...rivals(database)];
}

function orphans(database: CatalogDatabase): string[] {
  const rows = database.prepare<[], { readonly table: string }>('PRAGMA foreign_key_check').all();
  return rows.length === 0 ? [] : [`${rows.length} rows belong to an entry that does not exist`];
}

function wrongRanges(database: CatalogDatabase): string[] {
  return differences(database, TRUE_RANGES, RANGES, 'first').map(
    (row) => `the range of WAL at segment ${row.first.toString()} ${placeOf(row)} is not what the segments say`,
  );
}

function wrongBlocks(database: CatalogDatabase): string[] {
  return differences(database, TRUE_BLOCKS, BLOCKS, 'block * 256').map(
    (row) => `the summary of commits at segment ${row.first.toString()} ${placeOf(row)} is not what the segments say`,
  );
}

/** Rows that only one of the two queries has. */
function differences(database: CatalogDatabase, one: string, other: string, first: string): readonly Finding[] {
  return database
    .prepare<[], Finding>(
      `WITH one AS (${one}), other AS (${other}),
         odd AS (SELECT * FROM (SELECT * FROM one EXCEPT SELECT * FROM other)
                 UNION SELECT * FROM (SELECT * FROM other EXCEPT SELECT * FROM one))
       SELECT DISTINCT a.repository, a.cluster, odd.timeline, ${first} AS first
       FROM odd JOIN archive a ON a.id = odd.archive ORDER BY 1, 2, 3, 4 LIMIT 20`,
    )
    .all();
}

function placeOf({ repository, cluster, timeline }: Finding): string {
  return `of timeline ${timeline.toString()} of cluster ${cluster} in repository ${repository}`;
}

function rivals(database: CatalogDatabase): string[] {
  return database
    .prepare<[], string>(
      `SELECT cluster FROM backup WHERE state = 'running' GROUP BY cluster HAVING count(DISTINCT id) > 1 ORDER BY cluster`,
    )
    .pluck()
    .all()
    .map((cluster) => `more than one backup of cluster ${cluster} is marked as running`);
}
