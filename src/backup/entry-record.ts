import { join } from 'node:path';
import type { BackupId, ClusterIdentity } from '../../catalog/catalog.ts';
import type { Lsn, TimelineId } from '../postgres/lsn.ts';
import { piecesOfText, type SharedText } from '../platform/shared-text.ts';
import { StreamCompressor } from '../repository/codec.ts';
import { ManifestEncoder } from '../repository/manifest.ts';
import type { StoredObject } from '../repository/object-bytes.ts';
import { backupManifestEntries, BackupManifestFile } from '../repository/backup-manifest-file.ts';
import type { EncodedEntries } from './pack-input.ts';
import { StagedFile } from '../repository/staged-file.ts';

const MANIFEST_LEVEL = 3;

/** Writes down the entries as they are packed: into Walden's manifest and into PostgreSQL's. Keeps nothing in memory. */
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
    this.#write(this.#encoder.begin(id));
  }

  get files(): number {
    return this.#files;
  }

  readonly #store = (piece: Uint8Array): void => {
    this.walden.write(piece);
  };

  get plainBytes(): number {
    return this.#plainBytes;
  }

  /** What was packed. Until `endPostgres` its files are named in PostgreSQL's manifest too. */
  add({ walden, postgres, files }: EncodedEntries): void {
    this.#encoder.count(walden);
    this.#write(walden.lines);
    this.#files += files;
    this.#plainBytes += walden.plainBytes;
    if (files > 0 && !this.#postgresEnded) this.#backupManifest.add(postgres);
  }

  /** PostgreSQL's manifest names these too, although they are packed after it or with it. */
  async endPostgres(
    last: Parameters<typeof backupManifestEntries>[0],
    wal: { readonly timeline: TimelineId; readonly start: Lsn; readonly stop: Lsn },
  ): Promise<void> {
    this.#backupManifest.add(backupManifestEntries(last));
    this.#backupManifest.end(wal);
    this.#postgresEnded = true;
    await this.postgres.finish();
  }

  async endWalden(): Promise<StoredObject> {
    this.#write(this.#encoder.end());
    this.#compressor.finish(this.#store);
    return await this.walden.finish();
  }

  async abandon(): Promise<void> {
    await this.postgres.abandon();
    await this.walden.abandon();
  }

  #write(text: SharedText): void {
    for (const piece of piecesOfText(text)) this.#compressor.feed(piece, this.#store);
  }
}
