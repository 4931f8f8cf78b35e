import type { BackupId, ClusterName, RepositoryName } from '../catalog.ts';
import type { DrillRecord } from '../proof.ts';
import type { TimelineId } from '../../src/postgres/lsn.ts';
import type { CatalogDatabase } from './database.ts';
import { errorOf, type Integer, jsonText, lsnOf, lsnText, microsOf, optionalMicros } from './rows.ts';

interface DrillRow {
  readonly id: string;
  readonly cluster: string;
  readonly started_at: Integer;
  readonly finished_at: Integer;
  readonly outcome: string;
  readonly target: string;
  readonly repository: string | null;
  readonly backup: string | null;
  readonly restore: string | null;
  readonly recovery: string | null;
  readonly reached_timeline: Integer | null;
  readonly reached_lsn: string | null;
  readonly reached_commit: Integer | null;
  readonly checks: string;
  readonly error: string | null;
}

type Text = string | null;

export class DrillTable {
  readonly #record;
  readonly #newest;

  constructor(database: CatalogDatabase) {
    this.#record = database.prepare<
      // prettier-ignore
      [string, string, number, number, string, string, Text, Text, Text, Text, number | null, Text, number | null, string, Text]
    >(
      `INSERT INTO drill (id, cluster, started_at, finished_at, outcome, target, repository, backup, restore, recovery,
         reached_timeline, reached_lsn, reached_commit, checks, error)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#newest = database.prepare<[string, number], DrillRow>(
      'SELECT * FROM drill WHERE cluster = ? ORDER BY started_at DESC, id DESC LIMIT ?',
    );
  }

  record(drill: DrillRecord): void {
    const { source, reached } = drill;
    this.#record.run(
      drill.id,
      drill.cluster,
      drill.startedAt,
      drill.finishedAt,
      drill.outcome,
      drill.target,
      source?.repository ?? null,
      source?.backup ?? null,
      jsonText(drill.restore),
      jsonText(drill.recovery),
      reached?.timeline ?? null,
      reached === undefined ? null : lsnText(reached.lsn),
      reached?.lastCommit ?? null,
      JSON.stringify(drill.checks),
      jsonText(drill.error),
    );
  }

  newest(cluster: ClusterName, limit: number): readonly DrillRecord[] {
    return this.#newest.all(cluster, limit).map(drillOf);
  }
}

function drillOf(row: DrillRow): DrillRecord {
  const { repository, backup, reached_timeline: timeline, reached_lsn: lsn } = row;
  return {
    id: row.id,
    cluster: row.cluster as ClusterName,
    startedAt: microsOf(row.started_at),
    finishedAt: microsOf(row.finished_at),
    outcome: row.outcome as DrillRecord['outcome'],
    target: row.target,
    source:
      repository === null || backup === null
        ? undefined
        : { repository: repository as RepositoryName, backup: backup as BackupId },
    restore: row.restore === null ? undefined : (JSON.parse(row.restore) as DrillRecord['restore']),
    recovery: row.recovery === null ? undefined : (JSON.parse(row.recovery) as DrillRecord['recovery']),
    reached:
      timeline === null || lsn === null
        ? undefined
        : {
            timeline: Number(timeline) as TimelineId,
            lsn: lsnOf(lsn),
            lastCommit: optionalMicros(row.reached_commit),
          },
    checks: JSON.parse(row.checks) as DrillRecord['checks'],
    error: row.error === null ? undefined : errorOf(row.error),
  };
}
