import { describe, expect, it } from 'vitest';
import type { ClusterName } from '../../../catalog/catalog.ts';
import type { ObjectKey } from '../../../storage-drivers/driver.ts';
import { parseLsn } from '../../../src/postgres/lsn.ts';
import type { WalFileName } from '../../../src/postgres/wal-name.ts';
import { parseUnfinishedKey, unfinishedKey } from '../../../src/repository/keys.ts';
import { furthestStored, superseded, type UnfinishedObject } from '../../../src/wal/unfinished.ts';

const MAIN = 'main' as ClusterName;
const FIRST = '000000010000000A000000FD' as WalFileName;
const SECOND = '000000010000000A000000FE' as WalFileName;
const OTHER = '000000020000000A000000FE' as WalFileName;

function object(segment: WalFileName, lsn: string): UnfinishedObject {
  const end = parseLsn(lsn);
  return { key: unfinishedKey(MAIN, segment, end), segment, end };
}

describe('the key of an unfinished segment', () => {
  it('says the segment and how far it is known, in the order of both', () => {
    const key = unfinishedKey(MAIN, SECOND, parseLsn('A/FE012340'));
    expect(key).toBe('main/unfinished/00000001/000000010000000A000000FE.0000000AFE012340.zst');
    expect(parseUnfinishedKey(MAIN, key)).toEqual({ segment: SECOND, end: parseLsn('A/FE012340') });
    expect(unfinishedKey(MAIN, SECOND, parseLsn('9/FFFFFFFF')) < key).toBe(true);
  });

  it.each([
    'main/unfinished/00000002/000000010000000A000000FE.0000000AFE012340.zst',
    'main/unfinished/000000010000000A000000FE.0000000AFE012340.zst',
    'main/unfinished/00000001/000000010000000A000000FE.zst',
    'main/wal/00000001/0000000A/000000010000000A000000FE.partial.zst',
    'other/unfinished/00000001/000000010000000A000000FE.0000000AFE012340.zst',
  ])('is not %s', (key) => {
    expect(parseUnfinishedKey(MAIN, key as ObjectKey)).toBeUndefined();
  });
});

describe('of unfinished segments', () => {
  const [early, late] = [object(SECOND, 'A/FE000100'), object(SECOND, 'A/FE000200')];
  const [before, branch] = [object(FIRST, 'A/FDFFFF00'), object(OTHER, 'A/FE000050')];

  it('the one that goes furthest counts, of each segment', () => {
    expect(furthestStored([early, late, before, branch])).toEqual([late, before, branch]);
    expect(furthestStored([late, early])).toEqual([late]);
  });

  it('those are superseded that go less far, or whose segment is stored whole', () => {
    expect(superseded([early, late, before], new Set())).toEqual([early]);
    expect(superseded([early, late, before], new Set([FIRST]))).toEqual([early, before]);
    expect(superseded([early, late], new Set([SECOND]))).toEqual([early, late]);
  });

  it('none is superseded by one of a later segment or of another timeline', () => {
    expect(superseded([before, late, branch], new Set())).toEqual([]);
  });
});
