import type { Migration } from './migrations.ts';

/** The nodes of the clusters, and what was last seen of each. */
export const nodes: Migration = {
  version: 7,
  sql: `
    CREATE TABLE node (
      cluster TEXT NOT NULL,
      name TEXT NOT NULL,
      host TEXT NOT NULL,
      data_directory TEXT,
      -- Without a password.
      conninfo TEXT,
      slot TEXT,
      origin TEXT NOT NULL CHECK (origin IN ('configured', 'clone', 'restore', 'operator')),
      registered_at INTEGER NOT NULL,
      seen_at INTEGER,
      seen_role TEXT CHECK (seen_role IN ('primary', 'standby')),
      seen_timeline INTEGER,
      seen_lsn TEXT,
      PRIMARY KEY (cluster, name),
      CHECK ((seen_at IS NULL) = (seen_role IS NULL))
    ) STRICT, WITHOUT ROWID;
  `,
};
