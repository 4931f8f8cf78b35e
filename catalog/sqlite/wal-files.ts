import type { ClusterName, RepositoryName, RestorePoint, WalFileRecord } from '../catalog.ts';
import { WaldenError } from '../../src/errors.ts';
import type { TimelineId } from '../../src/postgres/lsn.ts';
import type { WalFileName } from '../../src/postgres/wal-name.ts';
import type { ArchiveId, ArchiveTable } from './archives.ts';
import type { CatalogDatabase } from './database.ts';
import { lsnText, type Integer } from './rows.ts';
import type { WalBlockTable } from './wal-blocks.ts';
import type { WalRangeTable } from './wal-ranges.ts';
import { type RestorePointRow, restorePointOf, type WalFileRow, walFileOf, walFileValues } from './wal-rows.ts';

const COLUMNS = `id, name, kind, timeline, segment, key, plain_bytes, stored_bytes, sha256, archived_at, commits,
  first_commit, last_commit, first_xid, last_xid, restore_points_omitted, history`;

/** The WAL files of all archives. Every change takes the ranges and the summaries with it. */
export class WalFileTable {
  readonly #archives: ArchiveTable;
  readonly #ranges: WalRangeTable;
  readonly #blocks: WalBlockTable;
  readonly #find;
  readonly #page;
  readonly #histories;
  readonly #others;
  readonly #last;
  readonly #insert;
  readonly #update;
  readonly #delete;
  readonly #points;
  readonly #insertPoint;
  readonly #deletePoints;
  readonly #pointsByName;

  constructor(database: CatalogDatabase, archives: ArchiveTable, ranges: WalRangeTable, blocks: WalBlockTable) {
    this.#archives = archives;
    this.#ranges = ranges;
    this.#blocks = blocks;
    const select = `SELECT ${COLUMNS} FROM wal_file WHERE archive = ?`;
    this.#find = database.prepare<[ArchiveId, string], WalFileRow>(`${select} AND name = ?`);
    this.#page = database.prepare<[ArchiveId, string, number], WalFileRow>(
      `${select} AND name > ? ORDER BY name LIMIT ?`,
    );
    this.#histories = database.prepare<[ArchiveId], WalFileRow>(`${select} AND kind = 'history' ORDER BY timeline`);
    this.#others = database.prepare<[ArchiveId], WalFileRow>(`${select} AND kind <> 'segment' ORDER BY name`);
    this.#last = database.prepare<[ArchiveId], WalFileRow>(`${select} ORDER BY archived_at DESC, name DESC LIMIT 1`);
    this.#insert = database
      .prepare<[Record<string, unknown>], Integer>(
        `INSERT INTO wal_file (archive, name, kind, timeline, segment, key, plain_bytes, stored_bytes, sha256, archived_at,
           commits, first_commit, last_commit, first_xid, last_xid, restore_points_omitted, history)
         VALUES (@archive, @name, @kind, @timeline, @segment, @key, @plainBytes, @storedBytes, @sha256, @archivedAt,
           @commits, @firstCommit, @lastCommit, @firstXid, @lastXid, @restorePointsOmitted, @history)
         RETURNING id`,
      )
      .pluck();
    this.#update = database.prepare<[Record<string, unknown>]>(
      `UPDATE wal_file SET key = @key, plain_bytes = @plainBytes, stored_bytes = @storedBytes,
         archived_at = @archivedAt, commits = @commits, first_commit = @firstCommit, last_commit = @lastCommit,
         first_xid = @firstXid, last_xid = @lastXid, restore_points_omitted = @restorePointsOmitted, history = @history
       WHERE archive = @archive AND name = @name`,
    );
    this.#delete = database.prepare<[Integer]>('DELETE FROM wal_file WHERE id = ?');
    this.#points = database.prepare<[Integer], RestorePointRow>(
      'SELECT name, lsn, time FROM restore_point WHERE file = ? ORDER BY ordinal',
    );
    this.#insertPoint = database.prepare<[Integer, number, string, string, number]>(
      'INSERT INTO restore_point (file, ordinal, name, lsn, time) VALUES (?, ?, ?, ?, ?)',
    );
    this.#deletePoints = database.prepare<[Integer]>('DELETE FROM restore_point WHERE file = ?');
    // CROSS JOIN keeps SQLite from walking all files of the archive instead of the few points of this name.
    this.#pointsByName = database.prepare<[string, ArchiveId], RestorePointRow & { readonly timeline: Integer }>(
      `SELECT p.name, p.lsn, p.time, f.timeline FROM restore_point p CROSS JOIN wal_file f ON f.id = p.file
       WHERE p.name = ? AND f.archive = ? AND f.kind = 'segment' ORDER BY p.lsn, f.timeline`,
    );
  }

  /** Only inside a transaction. @throws ARCHIVE_DUPLICATE */
  record(file: WalFileRecord): 'recorded' | 'already-recorded' {
    const archive = this.#archives.ensure(file.repository, file.cluster);
    const known = this.#find.get(archive, file.name);
    if (known === undefined) {
      this.#add(archive, file);
      return 'recorded';
    }
    if (known.sha256 !== file.sha256) throw duplicate(file, known);
    this.#replace(archive, known, file);
    return 'already-recorded';
  }

  /** Only inside a transaction. */
  forget(archive: ArchiveId, name: WalFileName): void {
    const row = this.#find.get(archive, name);
    if (row === undefined) return;
    this.#delete.run(row.id);
    if (row.kind !== 'segment' || row.segment === null) return;
    const timeline = Number(row.timeline) as TimelineId;
    this.#ranges.remove({ archive, timeline, segment: row.segment, storedBytes: Number(row.stored_bytes) });
    this.#blocks.refresh(archive, timeline, row.segment);
  }

  find(repository: RepositoryName, cluster: ClusterName, name: WalFileName): WalFileRecord | undefined {
    const archive = this.#archives.find(repository, cluster);
    const row = archive === undefined ? undefined : this.#find.get(archive, name);
    return row === undefined ? undefined : this.#record(repository, cluster, row);
  }

  /** Up to `limit` files whose names come behind `after`. */
  page(repository: RepositoryName, cluster: ClusterName, after: string, limit: number): readonly WalFileRecord[] {
    const archive = this.#archives.find(repository, cluster);
    if (archive === undefined) return [];
    return this.#page.all(archive, after, limit).map((row) => this.#record(repository, cluster, row));
  }

  histories(repository: RepositoryName, cluster: ClusterName): readonly WalFileRecord[] {
    const archive = this.#archives.find(repository, cluster);
    if (archive === undefined) return [];
    return this.#histories.all(archive).map((row) => this.#record(repository, cluster, row));
  }

  others(repository: RepositoryName, cluster: ClusterName): readonly WalFileRecord[] {
    const archive = this.#archives.find(repository, cluster);
    if (archive === undefined) return [];
    return this.#others.all(archive).map((row) => this.#record(repository, cluster, row));
  }

  lastArchived(repository: RepositoryName, cluster: ClusterName): WalFileRecord | undefined {
    const archive = this.#archives.find(repository, cluster);
    const row = archive === undefined ? undefined : this.#last.get(archive);
    return row === undefined ? undefined : this.#record(repository, cluster, row);
  }

  restorePoints(archive: ArchiveId, name: string): readonly (RestorePoint & { readonly timeline: TimelineId })[] {
    return this.#pointsByName
      .all(name, archive)
      .map((row) => ({ ...restorePointOf(row), timeline: Number(row.timeline) as TimelineId }));
  }

  #add(archive: ArchiveId, file: WalFileRecord): void {
    const id = this.#insert.get(walFileValues(archive, file));
    if (id === undefined) throw new Error('INSERT … RETURNING gave no row');
    this.#addPoints(id, file);
    const { kind, timeline, segment, storedBytes, index } = file;
    if (kind !== 'segment' || segment === undefined) return;
    this.#ranges.add({ archive, timeline, segment, storedBytes });
    this.#blocks.add(archive, timeline, segment, index);
  }

  /** The same bytes were stored anew, perhaps compressed otherwise: the row must say what the repository holds now. */
  #replace(archive: ArchiveId, known: WalFileRow, file: WalFileRecord): void {
    this.#update.run(walFileValues(archive, file));
    this.#deletePoints.run(known.id);
    this.#addPoints(known.id, file);
    const { kind, timeline, segment, storedBytes } = file;
    if (kind !== 'segment' || segment === undefined) return;
    this.#ranges.grow(archive, timeline, segment, storedBytes - Number(known.stored_bytes));
    this.#blocks.refresh(archive, timeline, segment);
  }

  #addPoints(id: Integer, file: WalFileRecord): void {
    for (const [ordinal, point] of (file.index?.restorePoints ?? []).entries()) {
      this.#insertPoint.run(id, ordinal, point.name, lsnText(point.lsn), point.time);
    }
  }

  #record(repository: RepositoryName, cluster: ClusterName, row: WalFileRow): WalFileRecord {
    const points = row.commits === null ? [] : this.#points.all(row.id).map(restorePointOf);
    return walFileOf(repository, cluster, row, points);
  }
}

function duplicate(file: WalFileRecord, known: WalFileRow): WaldenError {
  return new WaldenError(
    'ARCHIVE_DUPLICATE',
    `cannot record ${file.name} of cluster ${file.cluster}: repository ${file.repository} holds a file of this name ` +
      `with another content`,
    { details: { name: file.name, repository: file.repository, known: known.sha256, found: file.sha256 } },
  );
}
