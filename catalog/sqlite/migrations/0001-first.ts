import type { Migration } from './migrations.ts';

/**
 * LSNs are 16 upper-case hex digits and system identifiers decimal text, because both are unsigned 64-bit values and
 * SQLite's integers are signed. Segment numbers and microseconds fit.
 */
export const first: Migration = {
  version: 1,
  sql: `
    CREATE TABLE cluster (
      name TEXT PRIMARY KEY,
      system_identifier TEXT NOT NULL,
      major_version INTEGER NOT NULL,
      segment_bytes INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- The archive of one cluster in one repository: spares a million rows the two names.
    CREATE TABLE archive (
      id INTEGER PRIMARY KEY,
      repository TEXT NOT NULL,
      cluster TEXT NOT NULL,
      UNIQUE (repository, cluster)
    ) STRICT;

    CREATE TABLE wal_file (
      id INTEGER PRIMARY KEY,
      archive INTEGER NOT NULL REFERENCES archive (id),
      name TEXT NOT NULL,
      kind TEXT NOT NULL CHECK (kind IN ('segment', 'partial', 'history', 'backup')),
      timeline INTEGER NOT NULL,
      segment INTEGER,
      key TEXT NOT NULL,
      plain_bytes INTEGER NOT NULL,
      stored_bytes INTEGER NOT NULL,
      sha256 TEXT NOT NULL,
      archived_at INTEGER NOT NULL,
      -- NULL when the file was not walked.
      commits INTEGER,
      first_commit INTEGER,
      last_commit INTEGER,
      first_xid INTEGER,
      last_xid INTEGER,
      restore_points_omitted INTEGER,
      history TEXT,
      UNIQUE (archive, name),
      CHECK ((kind = 'history') = (segment IS NULL))
    ) STRICT;

    -- Holds every column that questions about spans of segments read, so that they never visit the table.
    CREATE INDEX wal_file_segment ON wal_file
      (archive, timeline, segment, stored_bytes, first_commit, last_commit, first_xid, last_xid)
      WHERE kind = 'segment';
    CREATE INDEX wal_file_history ON wal_file (archive, timeline) WHERE kind = 'history';
    CREATE INDEX wal_file_archived ON wal_file (archive, archived_at, name);

    CREATE TABLE restore_point (
      file INTEGER NOT NULL REFERENCES wal_file (id) ON DELETE CASCADE,
      ordinal INTEGER NOT NULL,
      name TEXT NOT NULL,
      lsn TEXT NOT NULL,
      time INTEGER NOT NULL,
      PRIMARY KEY (file, ordinal)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX restore_point_name ON restore_point (name);

    CREATE TABLE wal_range (
      archive INTEGER NOT NULL REFERENCES archive (id),
      timeline INTEGER NOT NULL,
      first INTEGER NOT NULL,
      last INTEGER NOT NULL,
      stored_bytes INTEGER NOT NULL,
      PRIMARY KEY (archive, timeline, first),
      CHECK (first <= last)
    ) STRICT, WITHOUT ROWID;

    -- What the index of up to 256 neighbouring segments says together; see wal-blocks.ts.
    CREATE TABLE wal_block (
      archive INTEGER NOT NULL REFERENCES archive (id),
      timeline INTEGER NOT NULL,
      block INTEGER NOT NULL,
      first_commit INTEGER,
      last_commit INTEGER,
      xid_start INTEGER,
      xid_length INTEGER,
      PRIMARY KEY (archive, timeline, block)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE backup (
      cluster TEXT NOT NULL,
      id TEXT NOT NULL,
      repository TEXT NOT NULL,
      label TEXT NOT NULL,
      started_at INTEGER NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('running', 'complete', 'failed', 'removing')),
      error TEXT,
      -- All from here on are NULL until the backup is complete.
      system_identifier TEXT,
      major_version INTEGER,
      segment_bytes INTEGER,
      timeline INTEGER,
      start_lsn TEXT,
      stop_lsn TEXT,
      stopped_at INTEGER,
      finished_at INTEGER,
      files INTEGER,
      plain_bytes INTEGER,
      stored_bytes INTEGER,
      checksums_verified INTEGER,
      corrupt_pages TEXT,
      tablespaces TEXT,
      PRIMARY KEY (cluster, id, repository),
      CHECK (state <> 'complete' OR stop_lsn IS NOT NULL)
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX backup_running ON backup (cluster) WHERE state = 'running';
    -- A backup goes into several repositories under one id, so a unique index on the cluster would refuse the second row.
    CREATE TRIGGER backup_one_at_a_time BEFORE INSERT ON backup
      WHEN NEW.state = 'running' AND EXISTS
        (SELECT 1 FROM backup WHERE cluster = NEW.cluster AND state = 'running' AND id <> NEW.id)
      BEGIN SELECT RAISE(ABORT, 'another backup of the cluster is running'); END;

    CREATE TABLE refusal (
      cluster TEXT NOT NULL,
      name TEXT NOT NULL,
      error TEXT NOT NULL,
      first_at INTEGER NOT NULL,
      last_at INTEGER NOT NULL,
      attempts INTEGER NOT NULL,
      PRIMARY KEY (cluster, name)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE job (
      id TEXT PRIMARY KEY,
      kind TEXT NOT NULL,
      cluster TEXT,
      state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'cancelled')),
      started_at INTEGER NOT NULL,
      finished_at INTEGER,
      error TEXT,
      result TEXT
    ) STRICT;
    CREATE INDEX job_started ON job (started_at);
  `,
};
