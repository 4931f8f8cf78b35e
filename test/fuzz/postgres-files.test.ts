import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { parseBackupLabel } from '../../src/postgres/backup-label.ts';
import { parseControlFile } from '../../src/postgres/control-file.ts';
import { crc32c } from '../../src/postgres/crc32c.ts';
import { findBadPages } from '../../src/postgres/data-page.ts';
import { formatLsn, parseLsn, timelineId } from '../../src/postgres/lsn.ts';
import { SegmentWalker } from '../../src/postgres/segment-walker.ts';
import { parseTimelineHistory } from '../../src/postgres/timeline-history.ts';
import { formatMicros, parseMicros } from '../../src/postgres/timestamp.ts';
import { parseWalName, segmentBytes, segmentNumberOfName } from '../../src/postgres/wal-name.ts';
import { readSegmentHeader } from '../../src/postgres/wal-page.ts';
import { decodeWalObjectHeader, encodeWalObjectHeader, fitIndex } from '../../src/repository/wal-object.ts';
import { IDENTITY } from '../support/catalog-rows.ts';
import { FUZZ_TIMEOUT_MS, fuzz } from '../support/fuzz.ts';
import { bytesLike, mutated, textLike } from '../support/mutations.ts';
import { commit, commitPrepared, filler, PAGE, restorePoint, WalBuilder } from '../support/wal-builder.ts';

const CRC_OFFSET = 288;

/** A segment with records of every kind that the index looks into. */
function segment(): WalBuilder {
  const builder = new WalBuilder({ continuation: 300 });
  builder.add(commit(700, 1_000_000n));
  builder.add(filler(20_000));
  builder.add(commitPrepared(701, 2_000_000n, { subxacts: 3, relations: 2, droppedStats: 1, invalidations: 4 }));
  builder.add(restorePoint('before', 3_000_000n));
  builder.add(commit(702, 4_000_000n, true));
  builder.switch();
  return builder;
}

function controlFile(): Buffer {
  const bytes = Buffer.alloc(8192);
  bytes.writeBigUInt64LE(7300000000000000001n, 0);
  bytes.writeUInt32LE(202406281, 12);
  bytes.writeBigUInt64LE(0x200028n, 32);
  bytes.writeUInt32LE(1, 48);
  bytes.writeDoubleLE(1234567, 208);
  bytes.writeUInt32LE(8192, 216);
  bytes.writeUInt32LE(8192, 224);
  bytes.writeUInt32LE(1 << 24, 228);
  return withControlChecksum(bytes);
}

function withControlChecksum(bytes: Buffer): Buffer {
  if (bytes.length >= CRC_OFFSET + 4) bytes.writeUInt32LE(crc32c(bytes, 0, CRC_OFFSET), CRC_OFFSET);
  return bytes;
}

const LABEL = `START WAL LOCATION: 0/2000028 (file 000000010000000000000002)
STOP WAL LOCATION: 0/2000100 (file 000000010000000000000002)
CHECKPOINT LOCATION: 0/2000080
BACKUP METHOD: streamed
BACKUP FROM: primary
START TIME: 2026-11-22 02:15:00 UTC
LABEL: nightly
START TIMELINE: 1
INCREMENTAL FROM LSN: 0/1000028
`;
const HISTORY = '1\t0/3000000\tno recovery target specified\n\n# a remark\n2\t0/5000000\tbefore 2026-11-22\n';

describe('WAL', () => {
  const builder = segment();
  const bytes = builder.segments[0]!;

  it('has a head that is read or refused', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    await fuzz(bytesLike(bytes.subarray(0, 40)), 2000, (head) => readSegmentHeader(head));
  });

  it('is walked to its end or refused', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const kind = fc.constantFrom('segment', 'partial');
    const cut = fc.integer({ min: 1000, max: 200_000 });
    await fuzz(fc.tuple(mutated(bytes.subarray(0, 6 * PAGE)), kind, cut), 1500, ([head, expected, length]) => {
      const whole = Buffer.from(bytes);
      whole.set(head.subarray(0, whole.length));
      const walker = new SegmentWalker(builder.expectation(0, expected));
      for (let at = 0; at < whole.length; at += length) walker.feed(whole.subarray(at, at + length));
      walker.finish();
    });
  });

  it('may say anything in records whose checksums are right, and is stored', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const commits = [commit(700, 1n), commitPrepared(701, 2n, { subxacts: 1, droppedStats: 1 }), restorePoint('a', 3n)];
    const record = fc.constantFrom(...commits).chain((one) =>
      fc.record({
        rmid: fc.constantFrom(one.rmid, 0, 1, 10),
        info: fc.oneof(fc.constant(one.info), fc.nat(255)),
        xid: fc.constantFrom(0, 3, 0xffff_ffff),
        body: mutated(one.body),
      }),
    );
    await fuzz(fc.array(record, { minLength: 1, maxLength: 30 }), 400, (records) => {
      const odd = new WalBuilder();
      for (const one of records) odd.add(one);
      odd.switch();
      const walker = new SegmentWalker(odd.expectation());
      walker.feed(odd.segments[0]!);
      const index = walker.finish();
      const file = parseWalName('000000010000000000000003');
      const sha256 = '0'.repeat(64) as Parameters<typeof encodeWalObjectHeader>[0]['sha256'];
      const header = {
        file,
        identity: IDENTITY,
        plainBytes: 1,
        sha256,
        archivedAt: parseMicros('2026-11-22T02:15:00Z'),
      };
      const fitted = fitIndex({ ...header, index });
      expect(decodeWalObjectHeader(encodeWalObjectHeader(fitted), 'it')).toEqual(fitted);
    });
  });
});

describe('the control file', () => {
  it('is read or refused', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const checksum = fc.boolean();
    await fuzz(fc.tuple(bytesLike(controlFile()), checksum), 2000, ([bytes, right]) => {
      parseControlFile(right ? withControlChecksum(bytes) : bytes);
    });
  });
});

describe('data pages', () => {
  it('are sound or not, whatever they hold', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    await fuzz(fc.tuple(bytesLike(Buffer.alloc(3 * PAGE)), fc.nat(0xffff_fffe)), 300, ([bytes, block]) => {
      expect(findBadPages(bytes, block).length).toBeLessThanOrEqual(Math.floor(bytes.length / PAGE));
    });
  });
});

describe('text that PostgreSQL writes', () => {
  it('is understood or refused: a backup label', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    await fuzz(textLike(LABEL), 2000, parseBackupLabel);
  });

  it('is understood or refused: a history file', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    await fuzz(fc.tuple(textLike(HISTORY), fc.constantFrom(1, 3, 0xffff_ffff)), 2000, ([text, timeline]) => {
      const { ancestors } = parseTimelineHistory(text, timelineId(timeline));
      expect(ancestors.every((one) => one.timeline < timeline)).toBe(true);
    });
  });

  it('is understood or refused: the name of a WAL file', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const names = ['000000010000000A000000FE', '00000002.history', '000000010000000A000000FE.00000028.backup'];
    await fuzz(textLike(...names, `${names[0]!}.partial`), 2000, (text) => {
      const { segment: digits } = parseWalName(text);
      if (digits !== undefined) segmentNumberOfName(digits, segmentBytes(1 << 24));
    });
  });

  it('is understood or refused: an LSN', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    await fuzz(textLike('16/B374D848'), 2000, (text) => {
      expect(parseLsn(formatLsn(parseLsn(text)))).toBe(parseLsn(text));
    });
  });

  it('is understood or refused: a moment', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    await fuzz(
      textLike('2026-11-22 02:15:00.123456+01', '0001-01-01T00:00:00Z', '9999-12-31T23:59:59Z'),
      3000,
      (text) => {
        const moment = parseMicros(text);
        expect(parseMicros(formatMicros(moment))).toBe(moment);
      },
    );
  });
});
