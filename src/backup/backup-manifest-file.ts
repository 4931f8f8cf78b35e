import type { ClusterIdentity } from '../../catalog/catalog.ts';
import { formatLsn, type Lsn, type TimelineId } from '../postgres/lsn.ts';
import { formatMicros } from '../postgres/timestamp.ts';
import type { ManifestFile } from '../repository/manifest.ts';
import type { StagedFile } from './staged-file.ts';

/**
 * PostgreSQL's own `backup_manifest` (manual, "Backup Manifest Format"; backend/backup/backup_manifest.c), written while the
 * files come: pg_verifybackup and pg_combinebackup read it in a restored copy. Version 1 up to PostgreSQL 16, version 2
 * with the system identifier from 17 on.
 */
export class BackupManifestFile {
  readonly #file: StagedFile;
  #files = 0;

  constructor(file: StagedFile, identity: ClusterIdentity) {
    this.#file = file;
    const head =
      identity.majorVersion >= 17
        ? `{ "PostgreSQL-Backup-Manifest-Version": 2,\n"System-Identifier": ${identity.systemIdentifier},\n`
        : '{ "PostgreSQL-Backup-Manifest-Version": 1,\n';
    this.#write(`${head}"Files": [`);
  }

  add(file: Pick<ManifestFile, 'path' | 'size' | 'mtime' | 'sha256'>): void {
    const modified = `${formatMicros(file.mtime).slice(0, 19).replace('T', ' ')} GMT`;
    this.#write(
      `${this.#files === 0 ? '\n' : ',\n'}{ "Path": ${JSON.stringify(file.path)}, "Size": ${file.size}, ` +
        `"Last-Modified": "${modified}", "Checksum-Algorithm": "SHA256", "Checksum": "${file.sha256}" }`,
    );
    this.#files += 1;
  }

  /** Ends the text with the hash of itself. */
  end(wal: { readonly timeline: TimelineId; readonly start: Lsn; readonly stop: Lsn }): void {
    this.#write(
      `\n],\n"WAL-Ranges": [\n{ "Timeline": ${wal.timeline}, "Start-LSN": "${formatLsn(wal.start)}", ` +
        `"End-LSN": "${formatLsn(wal.stop)}" }\n],\n`,
    );
    this.#write(`"Manifest-Checksum": "${this.#file.hashSoFar()}"}\n`);
  }

  #write(text: string): void {
    this.#file.write(Buffer.from(text));
  }
}
