import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupRecord, Catalog, ClusterIdentity } from '../../catalog/catalog.ts';
import type { BackupControls, BackupDeps, BackupRequest } from '../../src/backup/backup-deps.ts';
import { takeBackup } from '../../src/backup/take-backup.ts';
import type { LocalBackupSource, StreamBackupSource } from '../../src/config/config.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createWorkerPool, type WorkerPool } from '../../src/platform/worker-pool.ts';
import { readControlFile } from '../../src/postgres/control-file.ts';
import { microsFromDate } from '../../src/postgres/timestamp.ts';
import { parseWalName, segmentNumberOfName } from '../../src/postgres/wal-name.ts';
import { walKey } from '../../src/repository/keys.ts';
import { clusterName } from '../../src/repository/names.ts';
import type { ServiceInstance } from '../../src/repository/backup-claim.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { appendSettings, type ServerOptions, startServer, type TestServer } from './postgres-server.ts';
import { newDirectory } from './sandbox.ts';
import { until } from './until.ts';

/** A server whose WAL goes to a directory, and what is needed to back it up without a service. */
export interface BackupSetup {
  readonly server: TestServer;
  readonly archive: string;
  readonly identity: ClusterIdentity;
  readonly deps: BackupDeps;
  readonly warnings: readonly string[];
  request(overrides?: Partial<BackupRequest>): BackupRequest;
  /** Takes a backup; meanwhile the catalog is told of each archived segment, as the service would. */
  take(
    overrides?: Partial<BackupRequest>,
    controls?: Partial<BackupControls>,
    repositories?: readonly Repository[],
  ): Promise<BackupRecord[]>;
  /** The outcome of `work`, a backup taken by other means; meanwhile this catalog is told as in `take`. */
  recording<Result>(catalog: Catalog, work: Promise<Result>): Promise<Result>;
  dispose(): Promise<void>;
}

export const MAIN = clusterName('main');

export async function setUpBackup(
  options: ServerOptions,
  parts: { readonly catalog: Catalog; readonly repositories: readonly Repository[] },
): Promise<BackupSetup> {
  const archive = newDirectory('archive-');
  // In one step: a recovery may look for the file while it is copied.
  const command = `cp %p ${archive}/.%f && mv ${archive}/.%f ${archive}/%f`;
  const settings = { archive_mode: 'on', archive_command: command, ...options.settings };
  const server = await startServer({ ...options, settings });
  const identity = await readControlFile(server.dataDirectory);
  await parts.catalog.registerCluster(MAIN, identity);
  const pool: WorkerPool = createWorkerPool(new URL('./backup-worker.js', import.meta.url), 2);
  const warnings: string[] = [];
  const deps: BackupDeps = {
    ...parts,
    pool,
    clock: systemClock,
    instance: 'test' as ServiceInstance,
    version: '0.0.0-test',
    stagingDirectory: newDirectory('staging-'),
    log: {
      info: () => undefined,
      warn: (_facts, message) => {
        warnings.push(message);
      },
    },
  };
  const request = (overrides: Partial<BackupRequest> = {}): BackupRequest => ({
    cluster: { name: MAIN, backup: filesOf(server), receive: undefined },
    identity,
    workers: 2,
    compressionLevel: 1,
    label: 'test',
    ...overrides,
  });
  return {
    ...{ server, archive, identity, deps, warnings, request },
    async take(overrides = {}, controls = {}, repositories = parts.repositories) {
      const own = { ...deps, repositories };
      const full: BackupControls = { signal: new AbortController().signal, onProgress: () => undefined, ...controls };
      return await whileRecording({ deps: own, archive, identity }, takeBackup(own, request(overrides), full));
    },
    recording: (catalog, work) => whileRecording({ deps: { ...deps, catalog }, archive, identity }, work),
    async dispose() {
      await pool.close();
      await server.dispose();
    },
  };
}

/** The archive's segments are recorded as if they had been pushed; only their objects are not there. */
async function whileRecording<Result>(
  setup: Pick<BackupSetup, 'deps' | 'archive' | 'identity'>,
  work: Promise<Result>,
): Promise<Result> {
  const recorded = new Set<string>();
  let ended = false;
  const ending = work.finally(() => {
    ended = true;
  });
  // Its failure is told by the return below.
  ending.catch(() => undefined);
  await until(
    async () => {
      for (const name of readdirSync(setup.archive)) {
        if (!/^[0-9A-F]{24}$/.test(name) || recorded.has(name)) continue;
        await recordSegment(setup, name);
        recorded.add(name);
      }
      return ended;
    },
    { what: 'the end of the backup', everyMs: 10 },
  );
  return await ending;
}

async function recordSegment(setup: Pick<BackupSetup, 'deps' | 'identity'>, text: string): Promise<void> {
  const file = parseWalName(text);
  const { segmentBytes } = setup.identity;
  for (const repository of setup.deps.repositories) {
    await setup.deps.catalog.recordWalFile({
      repository: repository.name,
      cluster: MAIN,
      name: file.name,
      kind: 'segment',
      timeline: file.timeline,
      segment: segmentNumberOfName(file.name, segmentBytes),
      key: walKey(MAIN, file),
      plainBytes: segmentBytes,
      storedBytes: 1,
      sha256: 'a'.repeat(64) as Sha256Hex,
      archivedAt: microsFromDate(systemClock.now()),
      index: undefined,
      history: undefined,
    });
  }
}

/** The source *files* of a server. */
export function filesOf({ dataDirectory, conninfo }: TestServer): LocalBackupSource {
  return { source: 'files', dataDirectory, conninfo };
}

/** The source *stream* of a server. */
export function streamOf({ conninfo }: Pick<TestServer, 'conninfo'>): StreamBackupSource {
  return { source: 'stream', conninfo, compression: 'auto', maxRateBytes: undefined };
}

/** Makes an extracted backup recover from the archive directory when it is started. */
export async function prepareRecovery(directory: string, archive: string): Promise<void> {
  await appendSettings(directory, { restore_command: `cp ${archive}/%f %p`, archive_mode: 'off' });
  writeFileSync(join(directory, 'recovery.signal'), '');
}
