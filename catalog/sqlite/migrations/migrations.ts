import { first } from './0001-first.ts';
import { otherWalFiles } from './0002-other-wal-files.ts';
import { parentBackups } from './0003-parent-backups.ts';
import { retention } from './0004-retention.ts';
import { eventsAndSchedules } from './0005-events-and-schedules.ts';
import { proof } from './0006-proof.ts';
import { nodes } from './0007-nodes.ts';
import { writers } from './0008-writers.ts';

/** One step of the schema. A released one is never changed: a new one is added behind it. */
export interface Migration {
  /** 1, 2, … without a hole; kept in SQLite's `user_version`. */
  readonly version: number;
  readonly sql: string;
}

export const MIGRATIONS: readonly Migration[] = [
  first,
  otherWalFiles,
  parentBackups,
  retention,
  eventsAndSchedules,
  proof,
  nodes,
  writers,
];
