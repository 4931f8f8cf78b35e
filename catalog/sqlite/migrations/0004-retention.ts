import type { Migration } from './migrations.ts';

/** What is held, and what retention removed: both stand in the repositories too. */
export const retention: Migration = {
  version: 4,
  sql: `
    CREATE TABLE hold (
      cluster TEXT NOT NULL,
      backup TEXT NOT NULL,
      repository TEXT NOT NULL,
      since INTEGER NOT NULL,
      until INTEGER,
      reason TEXT,
      PRIMARY KEY (cluster, backup, repository)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE expired_backup (
      archive INTEGER NOT NULL REFERENCES archive (id),
      id TEXT NOT NULL,
      PRIMARY KEY (archive, id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE expired_wal (
      archive INTEGER NOT NULL REFERENCES archive (id),
      timeline INTEGER NOT NULL,
      first INTEGER NOT NULL,
      last INTEGER NOT NULL,
      PRIMARY KEY (archive, timeline, first),
      CHECK (first <= last)
    ) STRICT, WITHOUT ROWID;
  `,
};
