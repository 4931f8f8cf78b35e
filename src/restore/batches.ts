import type { ManifestEntry, ManifestFile } from '../repository/manifest.ts';

/** Files whose frames lie one after the other in a pack: fetched by one ranged read, written by one worker. */
export interface Batch {
  readonly pack: number;
  readonly offset: number;
  /** To read, with what lies between the files. */
  readonly storedBytes: number;
  readonly plainBytes: number;
  readonly files: readonly BatchFile[];
}

export interface BatchFile extends ManifestFile {
  /** Stored bytes between the end of the file before it in the batch and its own frames. */
  readonly before: number;
}

export interface BatchLimits {
  readonly storedBytes: number;
  readonly files: number;
  /** Of what is read for nothing between two files that are wanted. */
  readonly gapBytes: number;
}

/** Large enough that a request's latency does not count, small enough that all workers have something until the end. */
export const BATCH_LIMITS: BatchLimits = { storedBytes: 32 * 1024 * 1024, files: 1000, gapBytes: 256 * 1024 };

/** In the order of the manifest; a file that is larger than the limit is a batch of its own. */
export async function* batchesOf(
  entries: AsyncIterable<ManifestEntry> | Iterable<ManifestEntry>,
  limits: BatchLimits = BATCH_LIMITS,
): AsyncGenerator<Batch, void, undefined> {
  let files: BatchFile[] = [];
  let batch = emptyAt(0, 0);
  for await (const entry of entries) {
    if (entry.type !== 'file') continue;
    const storedBytes = storedBytesOf(entry);
    const gap = entry.offset - (batch.offset + batch.storedBytes);
    const follows = entry.pack === batch.pack && gap >= 0 && gap <= limits.gapBytes;
    const fits = batch.storedBytes + gap + storedBytes <= limits.storedBytes && files.length < limits.files;
    const before = follows && fits && files.length > 0 ? gap : 0;
    if (!follows || !fits || files.length === 0) {
      if (files.length > 0) yield { ...batch, files };
      files = [];
      batch = emptyAt(entry.pack, entry.offset);
    }
    files.push({ ...entry, before });
    batch.storedBytes += before + storedBytes;
    batch.plainBytes += entry.size;
  }
  if (files.length > 0) yield { ...batch, files };
}

/** Of its frames. */
export function storedBytesOf({ frames }: Pick<ManifestFile, 'frames'>): number {
  return frames.reduce((sum, [stored]) => sum + stored, 0);
}

function emptyAt(
  pack: number,
  offset: number,
): { pack: number; offset: number; storedBytes: number; plainBytes: number } {
  return { pack, offset, storedBytes: 0, plainBytes: 0 };
}
