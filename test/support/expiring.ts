import type { BackupId, Catalog } from '../../catalog/catalog.ts';
import type { RetentionPolicy } from '../../src/config/config.ts';
import { type Clock, systemClock } from '../../src/platform/clock.ts';
import type { RetentionOrder, RetentionPlace } from '../../src/retention/gather-input.ts';
import type { ServiceInstance } from '../../src/repository/backup-claim.ts';
import { putHold } from '../../src/repository/hold-file.ts';
import { backupClaimKey, packKey } from '../../src/repository/keys.ts';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { MAIN, micros, NEAR, SEGMENT_BYTES } from './catalog-rows.ts';
import { GeneratedRepository } from './generated-repository.ts';

/** A small archive with something of everything that retention decides about. */

const DAY = 86_400_000_000;
/** A month after all of it. */
export const NOW = micros(30 * DAY);
export const CLOCK: Clock = { ...systemClock, now: () => new Date(NOW / 1000) };

export const IDS = {
  first: '20270115T080000F',
  increment: '20270115T080001I',
  held: '20270115T080002F',
  third: '20270115T080003F',
  last: '20270115T080004F',
  left: '20270110T000000F',
} as const as Readonly<Record<'first' | 'increment' | 'held' | 'third' | 'last' | 'left', BackupId>>;

/** Keeps `third` and `last`; `held` stays by its hold; what else there is goes. */
export const TWO_FULL: RetentionPolicy = {
  ...{ recoveryWindowSeconds: undefined, minimumBackups: 2, keepDaily: undefined, keepWeekly: undefined },
  ...{ keepMonthly: undefined, keepYearly: undefined, walWindowSeconds: undefined },
};

/** Segments 1 to 20, five backups of which one is held and one an increment, and what a crash left. */
export async function fillArchive(catalog: Catalog, driver: StorageDriver): Promise<void> {
  const store = new GeneratedRepository({ name: NEAR, driver }, catalog);
  await store.begin();
  await store.addSegments(
    1,
    Array.from({ length: 20 }, (_, index) => index + 1),
  );
  await store.addWal('000000010000000000000001.00000028.backup');
  await store.addWal('00000002.history');
  const at = (offset: number) => ({ stoppedAt: micros(offset), finishedAt: micros(offset), corruptPages: [] });
  await store.addWholeBackup(IDS.first, 1, 2, at(2000));
  await store.addWholeBackup(IDS.increment, 4, 5, { ...at(5000), parent: IDS.first });
  await store.addWholeBackup(IDS.held, 8, 9, at(9000));
  await store.addWholeBackup(IDS.third, 12, 13, at(13_000));
  await store.addWholeBackup(IDS.last, 16, 17, at(17_000));
  await store.put(packKey(MAIN, IDS.left, 1), Buffer.from('half a pack'));
  await store.put(backupClaimKey(MAIN, IDS.left), Buffer.from('nobody knows'));
  const order = { action: 'keep', until: undefined, reason: 'an audit' } as const;
  await putHold({ name: NEAR, driver }, MAIN, IDS.held, order, micros(20_000));
}

export function placeIn(catalog: Catalog, driver: StorageDriver): RetentionPlace {
  const instance = 'test' as ServiceInstance;
  return { catalog, repository: { name: NEAR, driver }, cluster: MAIN, segmentBytes: SEGMENT_BYTES, instance };
}

export function orderOf(facts: Partial<RetentionOrder> = {}): Omit<RetentionOrder, 'refused'> {
  return {
    ...{ policy: TWO_FULL, now: NOW, isSimulated: false, lockSeconds: undefined, arriving: [], isActive: () => false },
    restored: new Set<never>(),
    assertUndisturbed: () => Promise.resolve(),
    awaited: { backups: [], segments: [] },
    ...facts,
  };
}

/** Numbers of the segments of timeline 1 that the catalog knows. */
export async function segmentsIn(catalog: Catalog): Promise<readonly number[]> {
  const found: number[] = [];
  for await (const { kind, segment } of catalog.walFiles(NEAR, MAIN))
    if (kind === 'segment') found.push(Number(segment));
  return found;
}
