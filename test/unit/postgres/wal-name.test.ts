import { describe, expect, it } from 'vitest';
import { formatLsn, lsn, parseLsn, systemIdentifier, timelineId } from '../../../src/postgres/lsn.ts';
import {
  parseSegmentSize,
  parseWalName,
  segmentBytes,
  segmentName,
  segmentNumberOfName,
} from '../../../src/postgres/wal-name.ts';

const MIB_16 = segmentBytes(16 << 20);

describe('parseLsn and formatLsn', () => {
  it('read and write what PostgreSQL prints', () => {
    expect(parseLsn('16/B374D848')).toBe(0x16_b374_d848n);
    expect(formatLsn(lsn(0x16_0000_0848n))).toBe('16/848');
    expect(formatLsn(parseLsn('ffffffff/ffffffff'))).toBe('FFFFFFFF/FFFFFFFF');
  });

  it.each(['', '16', '16/', '/1', '16/123456789', '16/G', ' 0/0', '0/0\n', '0x1/0', '-1/0'])('refuse %j', (text) => {
    expect(() => parseLsn(text)).toThrow(/is not an LSN/);
  });

  it('refuse what 64 bits cannot hold', () => {
    expect(() => lsn(-1n)).toThrow(/is not an LSN/);
    expect(() => lsn(1n << 64n)).toThrow(/is not an LSN/);
  });
});

describe('timelineId and systemIdentifier', () => {
  it.each([0, -1, 1.5, 2 ** 32, Number.NaN])('refuse the timeline %d', (value) => {
    expect(() => timelineId(value)).toThrow(/is not a timeline/);
  });

  it('keep a system identifier that a number could not hold', () => {
    expect(systemIdentifier('18446744073709551615')).toBe('18446744073709551615');
    for (const text of ['', '-1', '18446744073709551616', '1e3', '0x1']) {
      expect(() => systemIdentifier(text)).toThrow(/is not a system identifier/);
    }
  });
});

describe('parseWalName', () => {
  it.each([
    ['00000001000000160000000B', 'segment', undefined],
    ['00000001000000160000000B.partial', 'partial', undefined],
    ['00000001000000160000000B.00000028.backup', 'backup', 0x28],
  ] as const)('knows %s', (name, kind, offset) => {
    expect(parseWalName(name)).toEqual({ name, kind, timeline: 1, segment: '00000001000000160000000B', offset });
  });

  it('knows a history file', () => {
    expect(parseWalName('0000000A.history')).toMatchObject({ kind: 'history', timeline: 10, segment: undefined });
  });

  it.each([
    '',
    '../00000001000000160000000B',
    '00000001000000160000000b',
    '00000001000000160000000',
    '00000001000000160000000B\n',
    '00000000000000160000000B',
    '00000000.history',
    '00000001000000160000000B.history',
    '00000001000000160000000B.0000028.backup',
    '00000001.partial',
    'RECOVERYXLOG',
  ])('refuses %j', (name) => {
    expect(() => parseWalName(name)).toThrow(/is not the name of a WAL file/);
  });
});

describe('segment names', () => {
  it('count as many segments to a log as fit into 4 GiB', () => {
    const one = timelineId(1);
    expect(segmentName(one, 0xffn, MIB_16)).toBe('0000000100000000000000FF');
    expect(segmentName(one, 0x100n, MIB_16)).toBe('000000010000000100000000');
    expect(segmentName(one, 4n, segmentBytes(1 << 30))).toBe('000000010000000100000000');
    expect(segmentName(one, 0xfffn, segmentBytes(1 << 20))).toBe('000000010000000000000FFF');
  });

  it('refuse a name that cannot exist with this segment size', () => {
    const { segment } = parseWalName('000000010000000000000100');
    expect(() => segmentNumberOfName(segment!, MIB_16)).toThrow(/cannot exist with segments of 16777216 bytes/);
    expect(segmentNumberOfName(segment!, segmentBytes(1 << 20))).toBe(0x100n);
  });

  it.each([0, 1 << 19, (1 << 20) + 1, 3 << 20, 2 ** 31, -(1 << 20)])('refuse a segment of %d bytes', (bytes) => {
    expect(() => segmentBytes(bytes)).toThrow(/is not a WAL segment size/);
  });
});

describe('the segment size of a setting', () => {
  it.each([
    ['1MB', 1 << 20],
    ['16MB', 16 << 20],
    ['512MB', 512 << 20],
    ['1GB', 1 << 30],
  ])('%s', (text, bytes) => {
    expect(parseSegmentSize(text)).toBe(bytes);
  });

  it.each(['', '16', '16kB', '3MB', '2GB', '-1MB'])('%j is none', (text) => {
    expect(() => parseSegmentSize(text)).toThrow('is not a WAL segment size');
  });
});
