import type { ClusterName } from '../../catalog/catalog.ts';
import type { StorageDriver } from '../../storage-drivers/driver.ts';

/** Objects and their stored bytes. */
export interface Usage {
  readonly objects: number;
  readonly bytes: number;
}

export interface ClusterUsage {
  readonly cluster: ClusterName;
  readonly wal: Usage;
  readonly backups: readonly ({ readonly id: string } & Usage)[];
  /** What is neither. */
  readonly other: Usage;
}

/** What a repository holds, by its listing alone. Clusters and backups in the order of their names. */
export async function repositoryUsage(driver: StorageDriver, signal: AbortSignal): Promise<readonly ClusterUsage[]> {
  const clusters = new Map<string, Counter>();
  for await (const { key, size } of driver.list('', { signal })) {
    const [cluster = '', kind = '', id = ''] = key.split('/');
    // The repository's own mark, and probes.
    if (kind === '' || cluster.startsWith('.')) continue;
    const counter = clusters.get(cluster) ?? new Counter();
    clusters.set(cluster, counter);
    counter.count(kind, id, size);
  }
  return [...clusters].map(([cluster, counter]) => counter.usage(cluster as ClusterName));
}

class Counter {
  readonly #wal = { objects: 0, bytes: 0 };
  readonly #other = { objects: 0, bytes: 0 };
  readonly #backups = new Map<string, { objects: number; bytes: number }>();

  count(kind: string, id: string, bytes: number): void {
    const into = kind === 'wal' ? this.#wal : kind === 'base' ? this.#backup(id) : this.#other;
    into.objects += 1;
    into.bytes += bytes;
  }

  usage(cluster: ClusterName): ClusterUsage {
    const backups = [...this.#backups].map(([id, usage]) => ({ id, ...usage }));
    return { cluster, wal: { ...this.#wal }, backups, other: { ...this.#other } };
  }

  #backup(id: string): { objects: number; bytes: number } {
    const known = this.#backups.get(id) ?? { objects: 0, bytes: 0 };
    this.#backups.set(id, known);
    return known;
  }
}
