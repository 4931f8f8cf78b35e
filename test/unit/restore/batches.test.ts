import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Sha256Hex } from '../../../storage-drivers/driver.ts';
import type { Micros } from '../../../src/postgres/timestamp.ts';
import type { ManifestEntry, ManifestFile } from '../../../src/repository/manifest.ts';
import { type Batch, batchesOf } from '../../../src/restore/batches.ts';

function fileAt(pack: number, offset: number, stored: readonly number[]): ManifestFile {
  const frames = stored.map((bytes) => [bytes, bytes * 2] as const);
  return {
    type: 'file',
    path: `p${pack}-${offset}`,
    size: 10,
    mode: 0o600,
    mtime: 0 as Micros,
    sha256: '' as Sha256Hex,
    pack,
    offset,
    skip: 512,
    frames,
  };
}

async function* stream(entries: readonly ManifestEntry[]): AsyncGenerator<ManifestEntry> {
  await Promise.resolve();
  yield* entries;
}

describe('batchesOf', () => {
  it('covers every file once, in order, by ranges that hold their frames and small gaps', async () => {
    const recipe = fc.array(
      fc.record({
        frames: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 4 }),
        gap: fc.constantFrom(0, 0, 0, 7, 8),
        cut: fc.constantFrom(false, false, false, true),
      }),
      { maxLength: 40 },
    );
    await fc.assert(
      fc.asyncProperty(recipe, async (files) => {
        let [pack, offset] = [1, 0];
        const entries = files.map(({ frames, gap, cut }) => {
          if (cut) [pack, offset] = [pack + 1, 0];
          const file = fileAt(pack, offset + gap, frames);
          offset += gap + frames.reduce((sum, bytes) => sum + bytes, 0);
          return file;
        });
        const batches: Batch[] = [];
        for await (const batch of batchesOf(stream(entries), { storedBytes: 100, files: 3, gapBytes: 7 }))
          batches.push(batch);
        expect(batches.flatMap((batch) => batch.files)).toMatchObject(entries);
        for (const batch of batches) {
          let position = batch.offset;
          for (const file of batch.files) {
            expect(file.before).toBeLessThanOrEqual(7);
            position += file.before;
            expect([file.pack, file.offset]).toEqual([batch.pack, position]);
            position += file.frames.reduce((sum, [bytes]) => sum + bytes, 0);
          }
          expect(position - batch.offset).toBe(batch.storedBytes);
          expect(batch.files.length === 1 || batch.storedBytes <= 100).toBe(true);
          expect(batch.files.length).toBeLessThanOrEqual(3);
        }
      }),
    );
  });
});
