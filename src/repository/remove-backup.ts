import type { BackupId, ClusterName } from '../../catalog/catalog.ts';
import type { ObjectKey, StorageDriver } from '../../storage-drivers/driver.ts';
import { backupClaimKey, backupPrefix, backupRecordKey } from './keys.ts';

/**
 * Removes every object of a backup, the commit record first: from then on the backup does not exist.
 * @throws the codes of a store out of reach; the rest is left for the next sweep.
 */
export async function removeBackupObjects(driver: StorageDriver, cluster: ClusterName, id: BackupId): Promise<void> {
  await driver.remove(backupRecordKey(cluster, id));
  await removeOtherObjects(driver, cluster, id);
}

/** What is left of a backup without its commit record. @throws as removeBackupObjects */
export async function removeOtherObjects(driver: StorageDriver, cluster: ClusterName, id: BackupId): Promise<void> {
  const claim = backupClaimKey(cluster, id);
  const keys: ObjectKey[] = [];
  for await (const { key } of driver.list(backupPrefix(cluster, id))) if (key !== claim) keys.push(key);
  for (const key of keys) await driver.remove(key);
  // Until then it says whose the rest is.
  await driver.remove(claim);
}
