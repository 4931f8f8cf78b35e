import { systemClock } from '../../src/platform/clock.ts';
import { createWorkerPool } from '../../src/platform/worker-pool.ts';
import { restoreCluster } from '../../src/restore/restore-cluster.ts';
import type { ObjectKey, StorageDriver } from '../../storage-drivers/driver.ts';
import { openDriver } from '../../storage-drivers/registry.ts';
import type { TimelineId } from '../../src/postgres/lsn.ts';
import type { BackupId, ClusterName, RepositoryName } from '../../catalog/catalog.ts';
import { readBackupRecord } from '../../src/repository/backup-record.ts';
import { stubCatalog } from './stub-catalog.ts';

/**
 * A process that restores the only backup of a repository and kills itself:
 * restore-child.js REPOSITORY-PATH TARGET BACKUP-ID DEATH, where DEATH is the number of a read, `finish`, or `never`.
 * Before it dies it says how many reads it did.
 */
const [path = '', to = '', id = '', death = ''] = process.argv.slice(2);
const name = 'local' as RepositoryName;
const cluster = 'main' as ClusterName;

function die(): void {
  process.kill(process.pid, 'SIGKILL');
}

let reads = 0;
function mortal(driver: StorageDriver): StorageDriver {
  return {
    type: driver.type,
    features: driver.features,
    put: (key, body, options) => driver.put(key, body, options),
    get: async (key: ObjectKey, options) => {
      reads += 1;
      if (String(reads) === death) die();
      return await driver.get(key, options);
    },
    stat: (key, options) => driver.stat(key, options),
    list: (prefix, options) => driver.list(prefix, options),
    remove: (key, options) => driver.remove(key, options),
    close: () => driver.close(),
  };
}

const stored = await openDriver({ driver: 'local', path }, { instance: 'child', access: 'read-only' });
const backup = await readBackupRecord({ name, driver: stored }, cluster, id as BackupId);
const pool = createWorkerPool(new URL('./restore-worker.js', import.meta.url), 2);
await restoreCluster(
  {
    catalog: stubCatalog({
      backups: [{ ...backup.start, state: 'complete', facts: backup.facts, error: undefined }],
      ranges: [{ timeline: 1 as TimelineId, first: 1n, last: 9n, storedBytes: 1 }],
    }),
    repositories: [{ name, driver: mortal(stored) }],
    pool,
    clock: systemClock,
  },
  { cluster, request: { target: { kind: 'latest' }, to }, restoreCommand: 'walden-fetch %f %p' },
  {
    signal: new AbortController().signal,
    onProgress: ({ phase }) => {
      if (phase === death) die();
    },
  },
);
await pool.close();
console.log(reads);
