import type { BackupFacts, BackupId, BackupRecord, BackupStart, ClusterName, RepositoryName } from '../catalog.ts';
import { type ErrorDocument, WaldenError } from '../../src/errors.ts';
import { describeMicros, formatMicros } from '../../src/postgres/timestamp.ts';
import { type BackupRow, backupOf, factsValues } from './backup-rows.ts';
import type { CatalogDatabase } from './database.ts';
import { microsOf, type Integer } from './rows.ts';

interface RunningRow {
  readonly id: string;
  readonly started_at: Integer;
}

export class BackupTable {
  readonly #running;
  readonly #state;
  readonly #open;
  readonly #complete;
  readonly #fail;
  readonly #removing;
  readonly #cancelRemoval;
  readonly #forget;
  readonly #child;
  readonly #all;

  constructor(database: CatalogDatabase) {
    const one = 'cluster = ? AND id = ? AND repository = ?';
    this.#running = database.prepare<[string], RunningRow>(
      "SELECT id, started_at FROM backup WHERE cluster = ? AND state = 'running' LIMIT 1",
    );
    this.#state = database.prepare<[string, string, string], string>(`SELECT state FROM backup WHERE ${one}`).pluck();
    this.#open = database.prepare<[string, string, string, string, number]>(
      `INSERT INTO backup (cluster, id, repository, label, started_at, state) VALUES (?, ?, ?, ?, ?, 'running')`,
    );
    this.#complete = database.prepare<[Record<string, unknown>]>(
      `INSERT INTO backup (cluster, id, repository, label, started_at, state, error, system_identifier, major_version,
         segment_bytes, parent, timeline, start_lsn, stop_lsn, stopped_at, finished_at, files, plain_bytes, stored_bytes,
         checksums_verified, corrupt_pages, tablespaces)
       VALUES (@cluster, @id, @repository, @label, @startedAt, 'complete', NULL, @systemIdentifier, @majorVersion,
         @segmentBytes, @parent, @timeline, @startLsn, @stopLsn, @stoppedAt, @finishedAt, @files, @plainBytes, @storedBytes,
         @checksumsVerified, @corruptPages, @tablespaces)
       ON CONFLICT (cluster, id, repository) DO UPDATE SET
         label = excluded.label, started_at = excluded.started_at, state = excluded.state, error = NULL,
         system_identifier = excluded.system_identifier, major_version = excluded.major_version,
         segment_bytes = excluded.segment_bytes, parent = excluded.parent, timeline = excluded.timeline, start_lsn = excluded.start_lsn,
         stop_lsn = excluded.stop_lsn, stopped_at = excluded.stopped_at, finished_at = excluded.finished_at,
         files = excluded.files, plain_bytes = excluded.plain_bytes, stored_bytes = excluded.stored_bytes,
         checksums_verified = excluded.checksums_verified, corrupt_pages = excluded.corrupt_pages,
         tablespaces = excluded.tablespaces`,
    );
    this.#fail = database.prepare<[string, string, string, string]>(
      `UPDATE backup SET state = 'failed', error = ? WHERE ${one}`,
    );
    this.#removing = database.prepare<[string, string, string]>(`UPDATE backup SET state = 'removing' WHERE ${one}`);
    this.#cancelRemoval = database.prepare<[string, string, string]>(
      `UPDATE backup SET state = 'complete' WHERE ${one} AND state = 'removing' AND stop_lsn IS NOT NULL`,
    );
    this.#forget = database.prepare<[string, string, string]>(`DELETE FROM backup WHERE ${one}`);
    this.#child = database
      .prepare<[string, string, string], string>(
        "SELECT id FROM backup WHERE cluster = ? AND parent = ? AND repository = ? AND state = 'complete' LIMIT 1",
      )
      .pluck();
    this.#all = database.prepare<[string], BackupRow>('SELECT * FROM backup WHERE cluster = ? ORDER BY id, repository');
  }

  /** Only inside one immediate transaction. @throws LOCK_HELD */
  open(starts: readonly BackupStart[]): void {
    for (const cluster of new Set(starts.map((start) => start.cluster))) this.#assertNoneRuns(cluster);
    for (const { cluster, id, repository, label, startedAt } of starts) {
      const state = this.#state.get(cluster, id, repository);
      if (state !== undefined) throw idTaken(cluster, id, repository, state);
      this.#open.run(cluster, id, repository, label, startedAt);
    }
  }

  /** @throws INTERNAL while the backup is being removed: its objects are going. */
  complete(start: BackupStart, facts: BackupFacts): void {
    const { cluster, id, repository, label, startedAt } = start;
    if (this.#state.get(cluster, id, repository) === 'removing') {
      throw new WaldenError('INTERNAL', `cannot complete backup ${id} of cluster ${cluster}: it is being removed`);
    }
    this.#complete.run({ cluster, id, repository, label, startedAt, ...factsValues(facts) });
  }

  /** @throws NOT_FOUND, and INTERNAL for a backup that is complete or being removed. */
  fail(repository: RepositoryName, cluster: ClusterName, id: BackupId, error: ErrorDocument): void {
    const state = this.#known(repository, cluster, id, 'fail');
    if (state === 'complete' || state === 'removing') {
      throw new WaldenError(
        'INTERNAL',
        `cannot fail backup ${id} of cluster ${cluster} in ${repository}: it is ${state}`,
      );
    }
    this.#fail.run(JSON.stringify(error), cluster, id, repository);
  }

  /** @throws NOT_FOUND, and INTERNAL while another backup of the repository builds on it */
  markRemoving(repository: RepositoryName, cluster: ClusterName, id: BackupId): void {
    this.#known(repository, cluster, id, 'remove');
    const child = this.#child.get(cluster, id, repository);
    if (child !== undefined) {
      throw new WaldenError(
        'INTERNAL',
        `cannot remove backup ${id} of cluster ${cluster} from ${repository}: backup ${child} builds on it`,
      );
    }
    this.#removing.run(cluster, id, repository);
  }

  /** @throws INTERNAL unless it is being removed and was complete before */
  cancelRemoval(repository: RepositoryName, cluster: ClusterName, id: BackupId): void {
    const { changes } = this.#cancelRemoval.run(cluster, id, repository);
    if (changes > 0) return;
    throw new WaldenError('INTERNAL', `cannot keep backup ${id} of cluster ${cluster}: it is not being removed`);
  }

  forget(repository: RepositoryName, cluster: ClusterName, id: BackupId): void {
    this.#forget.run(cluster, id, repository);
  }

  all(cluster: ClusterName): readonly BackupRecord[] {
    return this.#all.all(cluster).map(backupOf);
  }

  #assertNoneRuns(cluster: ClusterName): void {
    const running = this.#running.get(cluster);
    if (running === undefined) return;
    const since = microsOf(running.started_at);
    throw new WaldenError(
      'LOCK_HELD',
      `cannot start a backup of cluster ${cluster}: backup ${running.id} has been running since ${describeMicros(since)}`,
      {
        hint: 'wait for it to end, or end it: walden job list, walden job cancel',
        details: { cluster, backup: running.id, since: formatMicros(since) },
      },
    );
  }

  #known(repository: RepositoryName, cluster: ClusterName, id: BackupId, verb: string): string {
    const state = this.#state.get(cluster, id, repository);
    if (state !== undefined) return state;
    throw new WaldenError(
      'NOT_FOUND',
      `cannot ${verb} backup ${id} of cluster ${cluster} in repository ${repository}: the catalog does not know it`,
    );
  }
}

/** An id is a second: whoever comes again within it must take the next one. */
function idTaken(cluster: ClusterName, id: BackupId, repository: RepositoryName, state: string): WaldenError {
  return new WaldenError(
    'LOCK_HELD',
    `cannot start backup ${id} of cluster ${cluster}: repository ${repository} has one of this id, ${state}`,
    { hint: 'begin it again', details: { cluster, backup: id, repository, state } },
  );
}
