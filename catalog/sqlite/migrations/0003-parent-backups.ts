import type { Migration } from './migrations.ts';

/** Incremental backups name the one that they build on. */
export const parentBackups: Migration = {
  version: 3,
  sql: `
    ALTER TABLE backup ADD COLUMN parent TEXT;
    CREATE INDEX backup_parent ON backup (cluster, parent) WHERE parent IS NOT NULL;
  `,
};
