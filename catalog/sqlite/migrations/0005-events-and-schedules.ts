import type { Migration } from './migrations.ts';

/** What happened, for eyes and for hooks; and how far each schedule has come. */
export const eventsAndSchedules: Migration = {
  version: 5,
  sql: `
    CREATE TABLE event (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      at INTEGER NOT NULL,
      cluster TEXT,
      kind TEXT NOT NULL,
      level TEXT NOT NULL CHECK (level IN ('info', 'warning', 'error')),
      subject TEXT,
      message TEXT NOT NULL,
      facts TEXT NOT NULL
    ) STRICT;
    CREATE INDEX event_at ON event (at);
    CREATE TABLE schedule (
      name TEXT PRIMARY KEY,
      definition TEXT NOT NULL,
      settled INTEGER NOT NULL,
      job TEXT,
      attempts INTEGER NOT NULL
    ) STRICT;
  `,
};
