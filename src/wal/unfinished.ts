import type { ClusterName } from '../../catalog/catalog.ts';
import type { ObjectKey } from '../../storage-drivers/driver.ts';
import type { Lsn } from '../postgres/lsn.ts';
import type { WalFileName } from '../postgres/wal-name.ts';
import { parseUnfinishedKey, unfinishedPrefix } from '../repository/keys.ts';
import type { Repository } from '../repository/repository.ts';

/**
 * A segment that is still being received, stored as far as it had come. What is stored under the name of the segment in
 * the archive counts more, and of several of one segment the one that goes furthest.
 */
export interface UnfinishedObject {
  readonly key: ObjectKey;
  readonly segment: WalFileName;
  /** Where its last whole record ends. */
  readonly end: Lsn;
}

/** By one listing, which is short: see `superseded`. @throws as the driver's `list` */
export async function listUnfinished(
  { driver }: Repository,
  cluster: ClusterName,
  signal?: AbortSignal,
): Promise<readonly UnfinishedObject[]> {
  const found: UnfinishedObject[] = [];
  for await (const { key } of driver.list(unfinishedPrefix(cluster), { signal })) {
    const parsed = parseUnfinishedKey(cluster, key);
    if (parsed !== undefined) found.push({ key, ...parsed });
  }
  return found;
}

/** Of each segment the one that goes furthest. */
export function furthestStored(objects: readonly UnfinishedObject[]): readonly UnfinishedObject[] {
  const bySegment = new Map<WalFileName, UnfinishedObject>();
  for (const object of objects) {
    const known = bySegment.get(object.segment);
    if (known === undefined || known.end < object.end) bySegment.set(object.segment, object);
  }
  return [...bySegment.values()];
}

/** Those that nobody needs: the segment is stored whole, or another goes further. */
export function superseded(
  objects: readonly UnfinishedObject[],
  storedWhole: ReadonlySet<WalFileName>,
): readonly UnfinishedObject[] {
  const needed = new Set(furthestStored(objects).filter(({ segment }) => !storedWhole.has(segment)));
  return objects.filter((object) => !needed.has(object));
}
