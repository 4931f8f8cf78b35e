import type { BackupId, Catalog, ClusterName } from '../../catalog/catalog.ts';

/**
 * The backups that this process takes right now. The catalog says "running" of a backup whose service was killed too; one
 * service has the state directory for itself, so what is not in here does not run. (Several services on one catalog will
 * need a lease instead.)
 */
const active = new WeakMap<Catalog, Set<string>>();

export function markActive(catalog: Catalog, cluster: ClusterName, id: BackupId): void {
  const known = active.get(catalog) ?? new Set<string>();
  active.set(catalog, known.add(`${cluster}/${id}`));
}

export function markEnded(catalog: Catalog, cluster: ClusterName, id: BackupId): void {
  active.get(catalog)?.delete(`${cluster}/${id}`);
}

export function isActive(catalog: Catalog, cluster: ClusterName, id: BackupId): boolean {
  return active.get(catalog)?.has(`${cluster}/${id}`) ?? false;
}
