import type { Migration } from './migrations.ts';

/** Who writes each timeline, and who else offers WAL of it. */
export const writers: Migration = {
  version: 8,
  sql: `
    CREATE TABLE timeline_writer (
      cluster TEXT NOT NULL,
      timeline INTEGER NOT NULL,
      host TEXT NOT NULL,
      data_directory TEXT NOT NULL,
      since INTEGER NOT NULL,
      PRIMARY KEY (cluster, timeline)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE second_writer (
      cluster TEXT NOT NULL,
      timeline INTEGER NOT NULL,
      host TEXT NOT NULL,
      data_directory TEXT NOT NULL,
      file TEXT NOT NULL,
      error TEXT NOT NULL,
      first_at INTEGER NOT NULL,
      last_at INTEGER NOT NULL,
      attempts INTEGER NOT NULL,
      PRIMARY KEY (cluster, timeline, host, data_directory)
    ) STRICT, WITHOUT ROWID;
  `,
};
