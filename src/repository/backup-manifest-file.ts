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
  #ended = false;

  constructor(file: StagedFile, identity: ClusterIdentity) {
    this.#file = file;
    const head =
      identity.majorVersion >= 17
        ? `{ "PostgreSQL-Backup-Manifest-Version": 2,\n"System-Identifier": ${identity.systemIdentifier},\n`
        : '{ "PostgreSQL-Backup-Manifest-Version": 1,\n';
    this.#write(`${head}"Files": [`);
  }

  get path(): string {
    return this.#file.path;
  }

  /** What was packed. What comes after `end`, the last files, is not added again. */
  add({ files, postgres }: BackupManifestText): void {
    if (files > 0 && !this.#ended) this.#addEntries(postgres);
  }

  /** Adds the last files, ends the text with the hash of itself, and makes it durable. */
  async end(
    last: Parameters<typeof backupManifestEntries>[0],
    wal: { readonly timeline: TimelineId; readonly start: Lsn; readonly stop: Lsn },
  ): Promise<void> {
    this.#addEntries(backupManifestEntries(last));
    this.#ended = true;
    this.#write(
      `\n],\n"WAL-Ranges": [\n{ "Timeline": ${wal.timeline}, "Start-LSN": "${formatLsn(wal.start)}", ` +
        `"End-LSN": "${formatLsn(wal.stop)}" }\n],\n`,
    );
    this.#write(`"Manifest-Checksum": "${this.#file.hashSoFar()}"}\n`);
    await this.#file.finish();
  }

  /** Lets go of the file, which its directory is removed with. */
  async abandon(): Promise<void> {
    await this.#file.abandon();
  }

  /** Text of `backupManifestEntries`, of at least one. */
  #addEntries(entries: SharedText): void {
    this.#write(this.#isEmpty ? '\n' : ',\n');
    this.#write(entries);
    this.#isEmpty = false;
  }

  #write(text: SharedText): void {
    for (const piece of piecesOfText(text)) this.#file.write(piece);
  }
}

/** Some files as they stand in the list. */
export interface BackupManifestText {
  readonly files: number;
  /** Of `backupManifestEntries`. */
  readonly postgres: SharedText;
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
