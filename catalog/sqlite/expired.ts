import type { BackupId, ExpiredArchive } from '../catalog.ts';
import type { TimelineId } from '../../src/postgres/lsn.ts';
import type { ArchiveId } from './archives.ts';
import type { CatalogDatabase } from './database.ts';
import type { Integer } from './rows.ts';

/** What retention removed of each archive. */
export class ExpiredTable {
  readonly #backups;
  readonly #wal;
  readonly #insertBackup;
  readonly #insertWal;
  readonly #deleteBackups;
  readonly #deleteWal;

  constructor(database: CatalogDatabase) {
    this.#backups = database
      .prepare<[ArchiveId], BackupId>('SELECT id FROM expired_backup WHERE archive = ? ORDER BY id')
      .pluck();
    this.#wal = database.prepare<
      [ArchiveId],
      { readonly timeline: Integer; readonly first: Integer; readonly last: Integer }
    >('SELECT timeline, first, last FROM expired_wal WHERE archive = ? ORDER BY timeline, first');
    this.#insertBackup = database.prepare<[ArchiveId, string]>(
      'INSERT INTO expired_backup (archive, id) VALUES (?, ?)',
    );
    this.#insertWal = database.prepare<[ArchiveId, number, bigint, bigint]>(
      'INSERT INTO expired_wal (archive, timeline, first, last) VALUES (?, ?, ?, ?)',
    );
    this.#deleteBackups = database.prepare<[ArchiveId]>('DELETE FROM expired_backup WHERE archive = ?');
    this.#deleteWal = database.prepare<[ArchiveId]>('DELETE FROM expired_wal WHERE archive = ?');
  }

  /** Only inside a transaction. */
  replace(archive: ArchiveId, { backups, wal }: ExpiredArchive): void {
    this.#deleteBackups.run(archive);
    this.#deleteWal.run(archive);
    for (const id of backups) this.#insertBackup.run(archive, id);
    for (const { timeline, first, last } of wal) this.#insertWal.run(archive, timeline, first, last);
  }

  of(archive: ArchiveId): ExpiredArchive {
    return {
      backups: this.#backups.all(archive),
      wal: this.#wal
        .all(archive)
        .map(({ timeline, first, last }) => ({ timeline: Number(timeline) as TimelineId, first, last })),
    };
  }
}
