import { join } from 'node:path';
import type { BackupId, ClusterIdentity } from '../../catalog/catalog.ts';
import type { Lsn, TimelineId } from '../postgres/lsn.ts';
import { StreamCompressor } from '../repository/codec.ts';
import { ManifestEncoder, type ManifestEntry } from '../repository/manifest.ts';
import type { StoredObject } from '../repository/object-bytes.ts';
import { BackupManifestFile } from './backup-manifest-file.ts';
import { StagedFile } from './staged-file.ts';

const MANIFEST_LEVEL = 3;

/** Writes down each entry as it is packed: into Walden's manifest and into PostgreSQL's. Keeps nothing in memory. */
export class EntryRecord {
  /** PostgreSQL's `backup_manifest`, staged. */
  readonly postgres: StagedFile;
  /** Walden's manifest, compressed, staged. */
  readonly walden: StagedFile;
  readonly #encoder = new ManifestEncoder();
  readonly #compressor = new StreamCompressor(MANIFEST_LEVEL);
  readonly #backupManifest: BackupManifestFile;
  #files = 0;
  #plainBytes = 0;
  #postgresEnded = false;

  static async create(directory: string, id: BackupId, identity: ClusterIdentity): Promise<EntryRecord> {
    const walden = await StagedFile.create(join(directory, 'manifest.ndjson.zst'));
    const postgres = await StagedFile.create(join(directory, 'backup_manifest'));
    return new EntryRecord(walden, postgres, id, identity);
  }

  private constructor(walden: StagedFile, postgres: StagedFile, id: BackupId, identity: ClusterIdentity) {
    this.walden = walden;
    this.postgres = postgres;
    this.#backupManifest = new BackupManifestFile(postgres, identity);
    this.#line(this.#encoder.begin(id));
  }

  get files(): number {
    return this.#files;
  }

  // A copy: the staged file keeps pieces until they are worth a write.
  readonly #store = (piece: Uint8Array): void => {
    this.walden.write(Buffer.from(piece));
  };

  get plainBytes(): number {
    return this.#plainBytes;
  }

  /** An entry that was packed. Until `endPostgres` a file is named in PostgreSQL's manifest too. */
  add(entry: ManifestEntry): void {
    this.#line(this.#encoder.entry(entry));
    if (entry.type !== 'file') return;
    this.#files += 1;
    this.#plainBytes += entry.size;
    if (!this.#postgresEnded) this.#backupManifest.add(entry);
  }

  /** PostgreSQL's manifest names these too, although they are packed after it or with it. */
  async endPostgres(
    last: readonly Parameters<BackupManifestFile['add']>[0][],
    wal: { readonly timeline: TimelineId; readonly start: Lsn; readonly stop: Lsn },
  ): Promise<void> {
    for (const file of last) this.#backupManifest.add(file);
    this.#backupManifest.end(wal);
    this.#postgresEnded = true;
    await this.postgres.finish();
  }

  async endWalden(): Promise<StoredObject> {
    this.#line(this.#encoder.end());
    this.#compressor.finish(this.#store);
    return await this.walden.finish();
  }

  async abandon(): Promise<void> {
    await this.postgres.abandon();
    await this.walden.abandon();
  }

  #line(text: string): void {
    this.#compressor.feed(Buffer.from(text), this.#store);
  }
}
