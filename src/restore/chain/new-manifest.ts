import { chmod, chown } from 'node:fs/promises';
import { join } from 'node:path';
import type { BackupFacts } from '../../../catalog/catalog.ts';
import { backupManifestEntries, BackupManifestFile } from '../../repository/backup-manifest-file.ts';
import type { ManifestFile } from '../../repository/manifest.ts';
import { StagedFile } from '../../repository/staged-file.ts';
import type { RestorePlaces } from '../places.ts';
import { asLocalError } from '../target-directory.ts';

export const MANIFEST_PATH = 'backup_manifest';

/** What PostgreSQL's manifest says of a file. */
export type MadeFile = Pick<ManifestFile, 'path' | 'size' | 'mtime' | 'sha256'>;

/**
 * PostgreSQL's `backup_manifest` of the files as they are put together: that of the newest backup names increments, which
 * are not there any more.
 */
export class NewManifest {
  readonly #file: StagedFile;
  readonly #manifest: BackupManifestFile;
  readonly #facts: BackupFacts;

  private constructor(file: StagedFile, facts: BackupFacts) {
    this.#file = file;
    this.#facts = facts;
    this.#manifest = new BackupManifestFile(file, facts.identity);
  }

  /** @param facts of the newest backup. @throws LOCAL_IO */
  static async create({ dataDirectory }: RestorePlaces, facts: BackupFacts): Promise<NewManifest> {
    return new NewManifest(await StagedFile.create(join(dataDirectory, MANIFEST_PATH)), facts);
  }

  /** @throws LOCAL_IO, STORAGE_FULL */
  add(files: readonly MadeFile[]): void {
    this.#manifest.add({ files: files.length, postgres: backupManifestEntries(files) });
  }

  /** Durable when it resolves. @param mode permission bits. @throws LOCAL_IO, STORAGE_FULL */
  async finish({ owner }: RestorePlaces, last: MadeFile, mode: number): Promise<void> {
    const { timeline, startLsn, stopLsn } = this.#facts;
    try {
      if (owner !== undefined) await chown(this.#file.path, owner.uid, owner.gid);
      await chmod(this.#file.path, mode & 0o777);
    } catch (error) {
      throw asLocalError(error, `unable to write ${this.#file.path}`);
    }
    await this.#manifest.end([last], { timeline, start: startLsn, stop: stopLsn });
  }

  /** After a failure. */
  async abandon(): Promise<void> {
    await this.#file.abandon();
  }
}
