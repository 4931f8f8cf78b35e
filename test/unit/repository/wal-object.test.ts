import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Sha256Hex } from '../../../storage-drivers/driver.ts';
import { isWaldenError } from '../../../src/errors.ts';
import { lsn, systemIdentifier } from '../../../src/postgres/lsn.ts';
import { micros } from '../../../src/postgres/timestamp.ts';
import { parseWalName, segmentBytes } from '../../../src/postgres/wal-name.ts';
import { compressBytes } from '../../../src/repository/codec.ts';
import {
  decodeWalObjectHeader,
  encodeWalObjectHeader,
  fitIndex,
  largestWalObject,
  WAL_HEADER_BYTES,
  type WalObjectHeader,
} from '../../../src/repository/wal-object.ts';

const header: WalObjectHeader = {
  file: parseWalName('000000010000000A000000FE'),
  identity: {
    systemIdentifier: systemIdentifier('7711105170928354537'),
    majorVersion: 17,
    segmentBytes: segmentBytes(16 * 1024 * 1024),
  },
  plainBytes: 16 * 1024 * 1024,
  sha256: 'ab'.repeat(32) as Sha256Hex,
  archivedAt: micros(1_795_000_000_123_456),
  index: {
    firstCommit: micros(1_795_000_000_000_001),
    lastCommit: micros(1_795_000_000_000_002),
    commits: 2,
    firstXid: 4_294_967_295,
    lastXid: 3,
    restorePoints: [{ name: 'before the "upgrade" ü', lsn: lsn(0x16b374d848n), time: micros(1_795_000_000_000_002) }],
    restorePointsOmitted: 0,
  },
};

describe('the largest object of a WAL file', () => {
  it.each([1, 16])('holds a segment of %i MB that cannot be compressed', (megabytes) => {
    const bytes = segmentBytes(megabytes * 1024 * 1024);
    const stored = WAL_HEADER_BYTES + compressBytes(randomBytes(bytes), 1).byteLength;
    expect(stored).toBeGreaterThan(bytes);
    expect(stored).toBeLessThanOrEqual(largestWalObject(bytes));
  });
});

describe('the head of a stored WAL file', () => {
  it('is one zstd skippable frame of 4096 bytes, which says everything about the file', () => {
    const bytes = encodeWalObjectHeader(header);
    expect(bytes).toHaveLength(WAL_HEADER_BYTES);
    expect(bytes.readUInt32LE(0)).toBe(0x184d2a50);
    expect(bytes.readUInt32LE(4)).toBe(WAL_HEADER_BYTES - 8);
    expect(decodeWalObjectHeader(bytes, 'it')).toEqual(header);
  });

  it('keeps its first form for ever', () => {
    const text = encodeWalObjectHeader(header).toString('utf8', 8).trimEnd();
    expect(text).toBe(
      '{"walden":1,"name":"000000010000000A000000FE","bytes":16777216,"sha256":"' +
        'ab'.repeat(32) +
        '","systemIdentifier":"7711105170928354537","majorVersion":17,"segmentBytes":16777216,' +
        '"archivedAt":"2026-11-18T11:06:40.123456Z","index":{"firstCommit":"2026-11-18T11:06:40.000001Z",' +
        '"lastCommit":"2026-11-18T11:06:40.000002Z","commits":2,"firstXid":4294967295,"lastXid":3,"restorePoints":[' +
        '{"name":"before the \\"upgrade\\" ü","lsn":"16/B374D848","time":"2026-11-18T11:06:40.000002Z"}],' +
        '"restorePointsOmitted":0}}',
    );
  });

  it('counts the restore points that do not fit', () => {
    const point = { name: 'x'.repeat(63), lsn: lsn(1n), time: micros(0) };
    const crowded = { ...header, index: { ...header.index!, restorePoints: Array.from({ length: 500 }, () => point) } };
    const fitted = fitIndex(crowded);
    expect(fitted.index!.restorePoints.length).toBeGreaterThan(10);
    expect(fitted.index!.restorePoints.length + fitted.index!.restorePointsOmitted).toBe(500);
    expect(decodeWalObjectHeader(encodeWalObjectHeader(fitted), 'it')).toEqual(fitted);
  });

  it('is refused with an error of the table, whatever the bytes', () => {
    const sound = encodeWalObjectHeader(header);
    fc.assert(
      fc.property(fc.nat(WAL_HEADER_BYTES - 1), fc.nat(255), fc.nat(WAL_HEADER_BYTES), (at, byte, length) => {
        const bytes = Buffer.from(sound.subarray(0, length));
        if (at < length) bytes[at] = byte;
        try {
          decodeWalObjectHeader(bytes, 'it');
        } catch (error) {
          if (!isWaldenError(error)) throw error;
        }
      }),
    );
  });
});
