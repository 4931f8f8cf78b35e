import type { Migration } from './migrations.ts';

/** The few files among millions of segments that are none: looked for each time that a repository is filled. */
export const otherWalFiles: Migration = {
  version: 2,
  sql: `
    CREATE INDEX wal_file_other ON wal_file (archive, name) WHERE kind <> 'segment';
  `,
};
