import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BackupId } from '../../../catalog/catalog.ts';
import { micros } from '../../../src/postgres/timestamp.ts';
import { StreamCompressor, StreamDecompressor } from '../../../src/repository/codec.ts';
import {
  isEntryPath,
  encodeManifestEntries,
  ManifestEncoder,
  type ManifestEntry,
  type ManifestFrame,
  ManifestParser,
} from '../../../src/repository/manifest.ts';
import type { Sha256Hex } from '../../../storage-drivers/driver.ts';

const id = '20261122T021500F' as BackupId;

const path = fc
  .array(fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.map((part) => part.replaceAll('/', '_')).join('/'))
  .filter(isEntryPath);
const mode = fc.integer({ min: 0, max: 0o7777 });
const oid = fc.integer({ min: 1, max: 0xffff_ffff });
const sha256 = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('hex') as Sha256Hex);

const file: fc.Arbitrary<ManifestEntry> = fc
  .record({
    path,
    mode,
    sha256,
    size: fc.integer({ min: 0, max: 2 ** 30 }),
    offset: fc.integer({ min: 0, max: 2 ** 40 }),
  })
  .chain((fixed) =>
    fc
      .record({ mtime: fc.integer(), pack: fc.integer({ min: 1, max: 99_999 }), skip: fc.constantFrom(512, 1536) })
      .map(({ mtime, pack, skip }) => ({
        type: 'file' as const,
        ...fixed,
        ...{ mtime: micros(mtime), pack, skip },
        frames: framesOf(skip + fixed.size),
      })),
  );
/** As many as are needed, none with more than 4 MiB. */
function framesOf(bytes: number): ManifestFrame[] {
  const most = 4 * 1024 * 1024;
  return Array.from({ length: Math.ceil(bytes / most) }, (_, at) => [17, Math.min(most, bytes - at * most)]);
}

const directory: fc.Arbitrary<ManifestEntry> = fc.record({ type: fc.constant('directory' as const), path, mode });
const tablespace: fc.Arbitrary<ManifestEntry> = fc
  .record({ oid, location: fc.string({ maxLength: 50 }) })
  .map((found) => ({
    type: 'tablespace' as const,
    path: `pg_tblspc/${found.oid}`,
    oid: found.oid,
    location: `/${found.location.replaceAll('\0', '')}`,
  }));

describe('a manifest', () => {
  it('gives back every entry, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(file, directory, tablespace), { maxLength: 40 }),
        fc.integer({ min: 1, max: 200 }),
        (entries, chunkBytes) => {
          const encoder = new ManifestEncoder();
          const text = encoder.begin(id) + encoder.entries(encodeManifestEntries(entries)) + encoder.end();
          const compressor = new StreamCompressor(3);
          const pieces: Buffer[] = [];
          const keep = (piece: Uint8Array): void => {
            pieces.push(Buffer.from(piece));
          };
          compressor.feed(Buffer.from(text), keep);
          compressor.finish(keep);
          const stored = Buffer.concat(pieces);
          const decompressor = new StreamDecompressor('the manifest');
          const parser = new ManifestParser(id, 'the manifest');
          const found: ManifestEntry[] = [];
          for (let at = 0; at < stored.byteLength; at += chunkBytes) {
            for (const piece of decompressor.feed(stored.subarray(at, at + chunkBytes)))
              found.push(...parser.feed(piece));
          }
          decompressor.finish();
          parser.finish();
          expect(found).toEqual(entries);
        },
      ),
    );
  });
});
