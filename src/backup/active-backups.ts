import type { BackupId, Catalog, ClusterName } from '../../catalog/catalog.ts';

/**
 * The backups that this process takes or copies right now, and how often. The catalog says "running" of a backup whose
 * service was killed too; one service has the state directory for itself, so what is not in here does not run. (Several
 * services on one catalog will need a lease instead.)
 */
const active = new WeakMap<Catalog, Map<string, number>>();

export function markActive(catalog: Catalog, cluster: ClusterName, id: BackupId): void {
  const counts = active.get(catalog) ?? new Map<string, number>();
  const key = keyOf(cluster, id);
  active.set(catalog, counts.set(key, (counts.get(key) ?? 0) + 1));
}

export function markEnded(catalog: Catalog, cluster: ClusterName, id: BackupId): void {
  const counts = active.get(catalog);
  const key = keyOf(cluster, id);
  const count = counts?.get(key) ?? 0;
  if (count > 1) counts?.set(key, count - 1);
  else counts?.delete(key);
}

export function isActive(catalog: Catalog, cluster: ClusterName, id: BackupId): boolean {
  return active.get(catalog)?.has(keyOf(cluster, id)) ?? false;
}

function keyOf(cluster: ClusterName, id: BackupId): string {
  return `${cluster}/${id}`;
}
