import { describe, expect, it } from 'vitest';
import type { BackupId } from '../../../catalog/catalog.ts';
import type { DamagedObject, DamagedPart } from '../../../catalog/proof.ts';
import { errorToDocument, WaldenError } from '../../../src/errors.ts';
import { type Lsn, timelineId } from '../../../src/postgres/lsn.ts';
import { historyName, segmentName } from '../../../src/postgres/wal-name.ts';
import type { ArchiveView, CompleteBackup } from '../../../src/wal/archive-view.ts';
import { withoutDamaged } from '../../../src/wal/sound-view.ts';
import type { ObjectKey } from '../../../storage-drivers/driver.ts';
import { backupStart, FACTS, FAR, MAIN, micros, NEAR, SEGMENT_BYTES, timeline } from '../../support/catalog-rows.ts';

function backup(id: string, start: bigint, parent?: string): CompleteBackup {
  const facts = {
    ...FACTS,
    startLsn: start as Lsn,
    stopLsn: (start + 1n) as Lsn,
    parent: parent as BackupId | undefined,
  };
  return { ...backupStart({ id: id as BackupId }), state: 'complete', error: undefined, facts };
}

const ARCHIVE: ArchiveView = {
  ...{ repository: NEAR, cluster: MAIN, segmentBytes: SEGMENT_BYTES },
  backups: [
    backup('20261122T021500F', 10n),
    backup('20261123T021500I', 20n, '20261122T021500F'),
    backup('20261124T021500F', 30n),
  ],
  histories: [{ timeline: timeline(2), ancestors: [{ timeline: timeline(1), switchLsn: 5n as Lsn }] }],
  ranges: [{ timeline: timeline(1), first: 0n, last: 9n }],
};

function damaged(part: DamagedPart, repository = NEAR): DamagedObject {
  const error = errorToDocument(new WaldenError('CHECKSUM_MISMATCH', 'not what was stored'));
  return { repository, cluster: MAIN, key: 'some/key' as ObjectKey, part, error, foundAt: micros(0) };
}

function segment(number: bigint): DamagedPart {
  return { kind: 'wal', name: segmentName(timelineId(1), number, SEGMENT_BYTES) };
}

describe('an archive without what is damaged', () => {
  it('lacks a damaged backup and what builds on it', () => {
    const part: DamagedPart = { kind: 'backup', backup: '20261122T021500F' as BackupId };
    expect(withoutDamaged(ARCHIVE, [damaged(part)]).backups.map(({ id }) => id)).toEqual(['20261124T021500F']);
    expect(withoutDamaged(ARCHIVE, [damaged(part, FAR)])).toBe(ARCHIVE);
  });

  it('has a hole for a damaged segment, at the ends of a range too', () => {
    const { ranges } = withoutDamaged(
      ARCHIVE,
      [7n, 0n, 3n, 4n].map((number) => damaged(segment(number))),
    );
    expect(ranges.map(({ first, last }) => [first, last])).toEqual([
      [1n, 2n],
      [5n, 6n],
      [8n, 9n],
    ]);
  });

  it('knows no way to a timeline whose history is damaged', () => {
    const part: DamagedPart = { kind: 'wal', name: historyName(timelineId(2)) };
    expect(withoutDamaged(ARCHIVE, [damaged(part)]).histories).toEqual([]);
  });
});
