import type { ClusterIdentity } from '../../catalog/catalog.ts';
import { piecesOfText, type SharedText } from '../platform/shared-text.ts';
import { formatLsn, type Lsn, type TimelineId } from '../postgres/lsn.ts';
import { formatMicros } from '../postgres/timestamp.ts';
import type { ManifestFile } from './manifest.ts';
import type { StagedFile } from './staged-file.ts';

/**
 * PostgreSQL's own `backup_manifest` (manual, "Backup Manifest Format"; backend/backup/backup_manifest.c), written while the
 * files come: pg_verifybackup and pg_combinebackup read it in a restored copy. Version 1 up to PostgreSQL 16, version 2
 * with the system identifier from 17 on.
 */
export class BackupManifestFile {
  readonly #file: StagedFile;
  #isEmpty = true;

  constructor(file: StagedFile, identity: ClusterIdentity) {
    this.#file = file;
    const head =
      identity.majorVersion >= 17
        ? `{ "PostgreSQL-Backup-Manifest-Version": 2,\n"System-Identifier": ${identity.systemIdentifier},\n`
        : '{ "PostgreSQL-Backup-Manifest-Version": 1,\n';
    this.#write(`${head}"Files": [`);
  }

  /** Text of `backupManifestEntries`, of at least one. */
  add(entries: SharedText): void {
    this.#write(this.#isEmpty ? '\n' : ',\n');
    this.#write(entries);
    this.#isEmpty = false;
  }

  /** Ends the text with the hash of itself. */
  end(wal: { readonly timeline: TimelineId; readonly start: Lsn; readonly stop: Lsn }): void {
    this.#write(
      `\n],\n"WAL-Ranges": [\n{ "Timeline": ${wal.timeline}, "Start-LSN": "${formatLsn(wal.start)}", ` +
        `"End-LSN": "${formatLsn(wal.stop)}" }\n],\n`,
    );
    this.#write(`"Manifest-Checksum": "${this.#file.hashSoFar()}"}\n`);
  }

  #write(text: SharedText): void {
    for (const piece of piecesOfText(text)) this.#file.write(piece);
  }
}

/** As they stand in the list of files, with a comma between two. */
export function backupManifestEntries(
  files: readonly Pick<ManifestFile, 'path' | 'size' | 'mtime' | 'sha256'>[],
): string {
  return files.map(entryOf).join(',\n');
}

function entryOf({ path, size, mtime, sha256 }: Parameters<typeof backupManifestEntries>[0][number]): string {
  const modified = `${formatMicros(mtime).slice(0, 19).replace('T', ' ')} GMT`;
  return (
    `{ "Path": ${JSON.stringify(path)}, "Size": ${size}, ` +
    `"Last-Modified": "${modified}", "Checksum-Algorithm": "SHA256", "Checksum": "${sha256}" }`
  );
}
