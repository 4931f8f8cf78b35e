import type { Migration } from './migrations.ts';

/** What was verified when, what is bad, and what drills have shown. */
export const proof: Migration = {
  version: 6,
  sql: `
    CREATE TABLE verified_span (
      repository TEXT NOT NULL,
      cluster TEXT NOT NULL,
      -- Eight hex digits of a timeline, or the id of a backup.
      subject TEXT NOT NULL,
      first INTEGER NOT NULL,
      last INTEGER NOT NULL,
      -- NULL: not yet.
      verified_at INTEGER,
      PRIMARY KEY (repository, cluster, subject, first),
      CHECK (first <= last)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE damaged_object (
      cluster TEXT NOT NULL,
      repository TEXT NOT NULL,
      key TEXT NOT NULL,
      wal_file TEXT,
      backup TEXT,
      error TEXT NOT NULL,
      found_at INTEGER NOT NULL,
      PRIMARY KEY (cluster, repository, key),
      CHECK ((wal_file IS NULL) <> (backup IS NULL))
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE drill (
      id TEXT PRIMARY KEY,
      cluster TEXT NOT NULL,
      started_at INTEGER NOT NULL,
      finished_at INTEGER NOT NULL,
      outcome TEXT NOT NULL CHECK (outcome IN ('passed', 'failed')),
      target TEXT NOT NULL,
      repository TEXT,
      backup TEXT,
      restore TEXT,
      recovery TEXT,
      reached_timeline INTEGER,
      reached_lsn TEXT,
      reached_commit INTEGER,
      checks TEXT NOT NULL,
      error TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX drill_started ON drill (cluster, started_at);
  `,
};
