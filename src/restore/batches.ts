import type { ManifestEntry, ManifestFile } from '../repository/manifest.ts';

/** Files whose frames lie one after the other in a pack: fetched by one ranged read, written by one worker. */
export interface Batch {
  readonly pack: number;
  readonly offset: number;
  readonly storedBytes: number;
  readonly plainBytes: number;
  readonly files: readonly ManifestFile[];
}

export interface BatchLimits {
  readonly storedBytes: number;
  readonly files: number;
}

/** Large enough that a request's latency does not count, small enough that all workers have something until the end. */
export const BATCH_LIMITS: BatchLimits = { storedBytes: 32 * 1024 * 1024, files: 1000 };

/** In the order of the manifest; a file that is larger than the limit is a batch of its own. */
export async function* batchesOf(
  entries: AsyncIterable<ManifestEntry>,
  limits: BatchLimits = BATCH_LIMITS,
): AsyncGenerator<Batch, void, undefined> {
  let files: ManifestFile[] = [];
  let batch = emptyAt(0, 0);
  for await (const entry of entries) {
    if (entry.type !== 'file') continue;
    const storedBytes = entry.frames.reduce((sum, [stored]) => sum + stored, 0);
    const follows = entry.pack === batch.pack && entry.offset === batch.offset + batch.storedBytes;
    const fits = batch.storedBytes + storedBytes <= limits.storedBytes && files.length < limits.files;
    if (!follows || !fits) {
      if (files.length > 0) yield { ...batch, files };
      files = [];
      batch = emptyAt(entry.pack, entry.offset);
    }
    files.push(entry);
    batch.storedBytes += storedBytes;
    batch.plainBytes += entry.size;
  }
  if (files.length > 0) yield { ...batch, files };
}

function emptyAt(
  pack: number,
  offset: number,
): { pack: number; offset: number; storedBytes: number; plainBytes: number } {
  return { pack, offset, storedBytes: 0, plainBytes: 0 };
}
