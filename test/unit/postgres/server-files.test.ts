import { describe, expect, it } from 'vitest';
import { parseBackupLabel } from '../../../src/postgres/backup-label.ts';
import { parseControlFile } from '../../../src/postgres/control-file.ts';
import { crc32c } from '../../../src/postgres/crc32c.ts';
import { timelineId } from '../../../src/postgres/lsn.ts';
import { parseTimelineHistory } from '../../../src/postgres/timeline-history.ts';

describe('parseTimelineHistory', () => {
  const three = timelineId(3);

  it('reads ancestors, oldest first', () => {
    const text =
      '1\t0/A000198\tno recovery target specified\n\n# a remark\n  2\t0/B0000A0\tbefore 2026-11-22 02:15:00+00\n';
    expect(parseTimelineHistory(text, three)).toEqual({
      timeline: 3,
      ancestors: [
        { timeline: 1, switchLsn: 0xa000198n },
        { timeline: 2, switchLsn: 0xb0000a0n },
      ],
    });
  });

  it('takes two switches at one place', () => {
    expect(parseTimelineHistory('1\t0/A0\n2\t0/A0\n', three).ancestors).toHaveLength(2);
  });

  it.each([
    ['', 'no ancestor'],
    ['2\t0/A0\tx\n1\t0/B0\tx\n', 'timeline 1 after timeline 2'],
    ['1\t0/A0\tx\n1\t0/B0\tx\n', 'timeline 1 after timeline 1'],
    ['1\t0/B0\tx\n2\t0/A0\tx\n', 'timeline 2 after timeline 1'],
    ['3\t0/A0\tx\n', 'timeline 3 as an ancestor'],
    ['1\tx\n', 'the line'],
    ['1\n', 'the line'],
    ['one\t0/A0\n', 'the line'],
  ])('refuses %j', (text, fact) => {
    expect(() => parseTimelineHistory(text, three)).toThrow(fact);
  });
});

describe('parseBackupLabel', () => {
  const label = `START WAL LOCATION: 0/9000028 (file 000000010000000000000009)
CHECKPOINT LOCATION: 0/9000060
BACKUP METHOD: streamed
BACKUP FROM: primary
START TIME: 2026-11-22 02:15:00 UTC
LABEL: STOP WAL LOCATION: 0/1
START TIMELINE: 1
`;

  it('reads a label', () => {
    expect(parseBackupLabel(label)).toEqual({
      startLsn: 0x9000028n,
      startSegment: '000000010000000000000009',
      timeline: 1,
      stopLsn: undefined,
      incrementalFrom: undefined,
    });
  });

  it('reads a backup history file and the label of an increment', () => {
    const history = label.replace(
      'CHECKPOINT',
      'STOP WAL LOCATION: 0/9000100 (file 000000010000000000000009)\nCHECKPOINT',
    );
    expect(parseBackupLabel(history).stopLsn).toBe(0x9000100n);
    const increment = `${label}INCREMENTAL FROM LSN: 0/8000028\nINCREMENTAL FROM TLI: 1\n`;
    expect(parseBackupLabel(increment).incrementalFrom).toBe(0x8000028n);
  });

  it('refuses what is not one', () => {
    for (const text of ['', 'LABEL: x', label.replace('(file', 'file')]) {
      expect(() => parseBackupLabel(text)).toThrow(/does not say where the backup starts/);
    }
  });
});

describe('parseControlFile', () => {
  const RELEASES = [
    [13, 202007201, 1300],
    [14, 202107181, 1300],
    [15, 202209061, 1300],
    [16, 202307071, 1300],
    [17, 202406281, 1700],
    [18, 202506291, 1800],
  ] as const;

  function control(major: number, catalogVersion: number, controlVersion: number): Buffer {
    const bytes = Buffer.alloc(8192);
    bytes.writeBigUInt64LE(17_300_000_000_000_000_001n, 0);
    bytes.writeUInt32LE(controlVersion, 8);
    bytes.writeUInt32LE(catalogVersion, 12);
    bytes.writeUInt32LE(5, 16);
    bytes.writeBigUInt64LE(0x16_b374_d848n, 32);
    bytes.writeUInt32LE(4, 48);
    bytes.writeDoubleLE(1234567, 208);
    bytes.writeUInt32LE(8192, 216);
    bytes.writeUInt32LE(8192, 224);
    bytes.writeUInt32LE(1 << 26, 228);
    bytes.writeUInt32LE(1, 252);
    const end = major >= 18 ? 292 : 288;
    bytes.writeUInt32LE(crc32c(bytes, 0, end), end);
    return bytes;
  }

  it.each(RELEASES)('reads that of PostgreSQL %i', (major, catalogVersion, controlVersion) => {
    expect(parseControlFile(control(major, catalogVersion, controlVersion))).toEqual({
      systemIdentifier: '17300000000000000001',
      majorVersion: major,
      segmentBytes: 1 << 26,
      blockBytes: 8192,
      dataChecksums: true,
      state: 'in archive recovery',
      checkpoint: 0x16_b374_d848n,
      timeline: 4,
    });
  });

  it('finds every torn or damaged byte that it reads', () => {
    const whole = control(17, 202406281, 1700);
    for (let at = 0; at < 292; at += 1) {
      const damaged = Buffer.from(whole);
      damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at);
      expect(() => parseControlFile(damaged)).toThrow(/pg_control has/);
    }
    expect(() => parseControlFile(whole.subarray(0, 200))).toThrow('pg_control has only 200 bytes');
    expect(() => parseControlFile(Buffer.alloc(8192))).toThrow('unknown catalog version 0');
  });
});
