import { ArchiveTable } from './archives.ts';
import { BackupTable } from './backups.ts';
import { ClusterTable } from './clusters.ts';
import { DamagedObjectTable } from './damaged-objects.ts';
import { type CatalogDatabase, type Durability, openDatabase } from './database.ts';
import { DrillTable } from './drills.ts';
import { EventTable } from './events.ts';
import { ExpiredTable } from './expired.ts';
import { HoldTable } from './holds.ts';
import { JobTable } from './jobs.ts';
import { NodeTable } from './nodes.ts';
import { RefusalTable } from './refusals.ts';
import { ScheduleTable } from './schedules.ts';
import { SecondWriterTable } from './second-writers.ts';
import { TimelineWriterTable } from './timeline-writers.ts';
import { VerifiedSpanTable } from './verified-spans.ts';
import { WalBlockTable } from './wal-blocks.ts';
import { WalFileTable } from './wal-files.ts';
import { WalRangeTable } from './wal-ranges.ts';

/** One open connection and the prepared statements of every subject. */
export interface Tables {
  readonly database: CatalogDatabase;
  /** Rows changed by this connection so far. */
  readonly changes: () => bigint;
  readonly clusters: ClusterTable;
  readonly archives: ArchiveTable;
  readonly ranges: WalRangeTable;
  readonly blocks: WalBlockTable;
  readonly walFiles: WalFileTable;
  readonly refusals: RefusalTable;
  readonly backups: BackupTable;
  readonly holds: HoldTable;
  readonly expired: ExpiredTable;
  readonly jobs: JobTable;
  readonly events: EventTable;
  readonly schedules: ScheduleTable;
  readonly verified: VerifiedSpanTable;
  readonly damaged: DamagedObjectTable;
  readonly drills: DrillTable;
  readonly nodes: NodeTable;
  readonly writers: TimelineWriterTable;
  readonly secondWriters: SecondWriterTable;
}

/** @throws as openDatabase */
export function openTables(path: string, durability: Durability): Tables {
  const database = openDatabase(path, durability);
  const archives = new ArchiveTable(database);
  const ranges = new WalRangeTable(database);
  const blocks = new WalBlockTable(database);
  const changes = database.prepare<[], bigint>('SELECT total_changes()').pluck();
  return {
    database,
    changes: () => changes.get() ?? 0n,
    clusters: new ClusterTable(database),
    archives,
    ranges,
    blocks,
    walFiles: new WalFileTable(database, archives, ranges, blocks),
    refusals: new RefusalTable(database),
    backups: new BackupTable(database),
    holds: new HoldTable(database),
    expired: new ExpiredTable(database),
    jobs: new JobTable(database),
    events: new EventTable(database),
    schedules: new ScheduleTable(database),
    verified: new VerifiedSpanTable(database),
    damaged: new DamagedObjectTable(database),
    drills: new DrillTable(database),
    nodes: new NodeTable(database),
    writers: new TimelineWriterTable(database),
    secondWriters: new SecondWriterTable(database),
  };
}
