import { join } from 'node:path';
import type { BackupId } from '../../catalog/catalog.ts';
import { piecesOfText, type SharedText } from '../platform/shared-text.ts';
import { StreamCompressor } from '../repository/codec.ts';
import { ManifestEncoder } from '../repository/manifest.ts';
import type { StoredObject } from '../repository/object-bytes.ts';
import type { EncodedEntries } from './pack-input.ts';
import { StagedFile } from '../repository/staged-file.ts';

const MANIFEST_LEVEL = 3;

/** Writes down the entries as they are packed: Walden's manifest, compressed. Keeps nothing in memory. */
export class EntryRecord {
  readonly staged: StagedFile;
  readonly #encoder = new ManifestEncoder();
  readonly #compressor = new StreamCompressor(MANIFEST_LEVEL);
  #files = 0;
  #plainBytes = 0;

  static async create(directory: string, id: BackupId): Promise<EntryRecord> {
    return new EntryRecord(await StagedFile.create(join(directory, 'manifest.ndjson.zst')), id);
  }

  private constructor(staged: StagedFile, id: BackupId) {
    this.staged = staged;
    this.#write(this.#encoder.begin(id));
  }

  get files(): number {
    return this.#files;
  }

  get plainBytes(): number {
    return this.#plainBytes;
  }

  /** What was packed. */
  add({ walden, files }: Pick<EncodedEntries, 'walden' | 'files'>): void {
    this.#encoder.count(walden);
    this.#write(walden.lines);
    this.#files += files;
    this.#plainBytes += walden.plainBytes;
  }

  async end(): Promise<StoredObject> {
    this.#write(this.#encoder.end());
    this.#compressor.finish(this.#store);
    return await this.staged.finish();
  }

  async abandon(): Promise<void> {
    await this.staged.abandon();
  }

  readonly #store = (piece: Uint8Array): void => {
    this.staged.write(piece);
  };

  #write(text: SharedText): void {
    for (const piece of piecesOfText(text)) this.#compressor.feed(piece, this.#store);
  }
}
