import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BackupId } from '../../catalog/catalog.ts';
import { micros } from '../../src/postgres/timestamp.ts';
import { parseWalName } from '../../src/postgres/wal-name.ts';
import { decodeBackupRecord, encodeBackupRecord } from '../../src/repository/backup-record.ts';
import { backupDocument } from '../../src/repository/backup-document.ts';
import { decodeClusterFile, encodeClusterFile } from '../../src/repository/cluster-file.ts';
import { compressBytes, FrameDecompressor, StreamDecompressor } from '../../src/repository/codec.ts';
import { encodeManifestEntries, ManifestEncoder, ManifestParser } from '../../src/repository/manifest.ts';
import { decodeRepositoryFile, encodeRepositoryFile } from '../../src/repository/repository-file.ts';
import { isNestedTooDeep, sealJson } from '../../src/repository/sealed-json.ts';
import {
  decodeWalObjectHeader,
  encodeWalObjectHeader,
  WAL_HEADER_BYTES,
  type WalObjectHeader,
} from '../../src/repository/wal-object.ts';
import { backupStart, FACTS, IDENTITY, index, MAIN, NEAR, sha } from '../support/catalog-rows.ts';
import { FUZZ_TIMEOUT_MS, fuzz } from '../support/fuzz.ts';
import { bytesLike, type Json, mutated, mutatedJson, mutatedText } from '../support/mutations.ts';

const ID = '20261122T021500F' as BackupId;
const STORED = { bytes: 10, sha256: sha('b') };
const HEADER: WalObjectHeader = {
  file: parseWalName('000000010000000A000000FE'),
  identity: IDENTITY,
  plainBytes: IDENTITY.segmentBytes,
  sha256: sha('a'),
  archivedAt: micros(1_800_000_000_000_000),
  index: index({
    commits: 2,
    firstXid: 700,
    lastXid: 701,
    firstCommit: micros(1_700_000_000_000_000),
    restorePoints: [{ name: 'before', lsn: 0xafe00100n as never, time: micros(1_700_000_000_000_001) }],
  }),
};

const SEALED: readonly (readonly [string, Buffer, (bytes: Uint8Array) => unknown])[] = [
  ['walden.json', encodeRepositoryFile(), (bytes) => decodeRepositoryFile(bytes, 'it')],
  [
    'cluster.json',
    encodeClusterFile({ name: MAIN, history: [IDENTITY] }),
    (bytes) => decodeClusterFile(bytes, MAIN, 'it'),
  ],
  [
    'backup.json',
    encodeBackupRecord({
      start: backupStart(),
      facts: FACTS,
      backupLabel: 'START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n',
      tablespaceMap: '16400 /mnt/fast\n',
      packs: [STORED, STORED],
      manifest: STORED,
      waldenVersion: '0.1.0',
    }),
    (bytes) => {
      const { start, facts } = decodeBackupRecord(bytes, NEAR, 'it');
      JSON.stringify(backupDocument({ ...start, state: 'complete', facts, error: undefined }));
    },
  ],
];

describe.each(SEALED)('%s', (_name, valid, read) => {
  it('is read or refused when its bytes change', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    await fuzz(bytesLike(valid), 1000, read);
  });

  it('is read or refused when its members change and its seal is right', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    await fuzz(mutatedJson(JSON.parse(valid.toString()) as Json), 600, (value) => {
      const members = typeof value === 'object' && value !== null ? (value as Record<string, Json>) : { value };
      // To seal it would take the memory that reading it must not take.
      const isDeep = isNestedTooDeep(members);
      read(isDeep ? Buffer.from(JSON.stringify({ ...members, sha256: 'any' })) : sealJson(members));
    });
  });

  it('is refused without much memory when it is deep and wide', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const levels = 200;
    const wide = `${'['.repeat(levels)}${']'.repeat(levels)},`.repeat(4000);
    await fuzz(fc.constant(valid.toString().replace(/}\s*$/, `, "wide": [${wide}0]}`)), 1, (text) => {
      expect(() => read(Buffer.from(text))).toThrow(expect.objectContaining({ code: 'FORMAT_INVALID' }) as Error);
    });
  });

  it('is refused however deep it is', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    await fuzz(fc.constantFrom(100, 10_000, 100_000), 6, (levels) => {
      const deep = `${'['.repeat(levels)}${']'.repeat(levels)}`;
      read(Buffer.from(valid.toString().replace(/}\s*$/, `, "deep": ${deep}}`)));
    });
  });
});

describe('the head of a stored WAL file', () => {
  const valid = encodeWalObjectHeader(HEADER);

  it('is read or refused when its bytes change', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    await fuzz(bytesLike(valid, valid.subarray(0, 700)), 2000, (bytes) => decodeWalObjectHeader(bytes, 'it'));
  });

  it('is read or refused when its members change', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const json = JSON.parse(valid.toString('utf8', 8)) as Json;
    await fuzz(mutatedJson(json), 2000, (value) => {
      const bytes = Buffer.alloc(WAL_HEADER_BYTES, ' ');
      valid.copy(bytes, 0, 0, 8);
      bytes.write(JSON.stringify(value), 8);
      const { plainBytes } = decodeWalObjectHeader(bytes, 'it');
      // What a segment can have at most.
      expect(plainBytes).toBeLessThanOrEqual(2 ** 30);
    });
  });
});

describe('a manifest', () => {
  const encoder = new ManifestEncoder();
  const file = {
    ...{ type: 'file' as const, path: 'base/5/1259', size: 8192, mode: 0o600, mtime: micros(1_700_000_000_000_000) },
    ...{ sha256: sha('c'), pack: 1, offset: 0, skip: 512, frames: [[100, 8704]] as const },
  };
  const lines = [
    encoder.begin(ID),
    encoder.entries(encodeManifestEntries([{ type: 'directory', path: 'base', mode: 0o700 }])),
    encoder.entries(encodeManifestEntries([file])),
    encoder.entries(
      encodeManifestEntries([{ type: 'tablespace', path: 'pg_tblspc/16400', oid: 16400, location: '/mnt/fast' }]),
    ),
    encoder.end(),
  ];

  function read(text: string): void {
    const parser = new ManifestParser(ID, 'it');
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += 1000) {
      for (const entry of parser.feed(bytes.subarray(at, at + 1000))) {
        expect(entry.path).not.toMatch(/^\/|(^|\/)\.\.?(\/|$)|\0/);
        // Each is held in memory as a whole.
        const frames = entry.type === 'file' ? entry.frames.flat() : [];
        expect(Math.max(0, ...frames)).toBeLessThanOrEqual(16 * 1024 * 1024);
      }
    }
    parser.finish();
  }

  it('is read or refused when its text changes', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    await fuzz(mutatedText(lines.join('')), 1500, read);
  });

  it('is read or refused when its members change', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const line = fc
      .nat(lines.length - 1)
      .chain((at) => fc.tuple(fc.constant(at), mutatedJson(JSON.parse(lines[at]!) as Json)));
    await fuzz(line, 2000, ([at, changed]) => {
      read(lines.toSpliced(at, 1, `${JSON.stringify(changed)}\n`).join(''));
    });
  });

  it('is read or refused when its stored bytes change', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    await fuzz(mutated(compressBytes(Buffer.from(lines.join('')), 3)), 1500, (stored) => {
      const decompressor = new StreamDecompressor('it');
      const parser = new ManifestParser(ID, 'it');
      for (const piece of decompressor.feed(stored)) parser.feed(piece);
      decompressor.finish();
      parser.finish();
    });
  });
});

describe('compressed bytes', () => {
  const plain = Buffer.from(Array.from({ length: 3000 }, (_, at) => `line ${at}\n`).join(''));
  const frames = Buffer.concat([encodeWalObjectHeader(HEADER), compressBytes(plain, 3), compressBytes(plain, 1)]);

  it('come out in pieces or are refused, whatever they claim', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const cut = fc.integer({ min: 1, max: 5000 });
    await fuzz(fc.tuple(bytesLike(frames.subarray(WAL_HEADER_BYTES), frames), cut), 2000, ([stored, length]) => {
      const decompressor = new StreamDecompressor('it');
      for (let at = 0; at < stored.length; at += length) {
        for (const piece of decompressor.feed(stored.subarray(at, at + length)))
          expect(piece.length).toBeGreaterThan(0);
      }
      decompressor.finish();
    });
  });

  it('have the size that was recorded or are refused', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const decompressor = new FrameDecompressor();
    const size = fc.oneof(fc.constant(plain.length), fc.nat(4 * 1024 * 1024));
    await fuzz(fc.tuple(bytesLike(compressBytes(plain, 3)), size), 1500, ([stored, bytes]) => {
      expect(decompressor.decompress(stored, bytes, 'it').length).toBe(bytes);
    });
  });
});
