import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Catalog } from '../../catalog/catalog.ts';
import { SqliteCatalog } from '../../catalog/sqlite/sqlite-catalog.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createWorkerPool, type WorkerPool } from '../../src/platform/worker-pool.ts';
import { systemIdentifier } from '../../src/postgres/lsn.ts';
import type { ServerRun } from '../../src/postgres/server-run.ts';
import { segmentBytes, segmentName, type WalFileName } from '../../src/postgres/wal-name.ts';
import { clusterName, repositoryName } from '../../src/repository/names.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { ArchiveContext } from '../../src/wal/archive-context.ts';
import { Spool } from '../../src/wal/spool.ts';
import { LocalDriver } from '../../storage-drivers/local/local-driver.ts';
import { newDirectory } from './sandbox.ts';
import { commit, filler, WalBuilder } from './wal-builder.ts';

export const MAIN = clusterName('main');
const SEGMENT_BYTES = segmentBytes(1 << 20);

export interface WalSetup {
  readonly context: ArchiveContext;
  readonly catalog: Catalog;
  readonly spool: Spool;
  readonly dataDirectory: string;
  /** Writes a whole segment into pg_wal and marks it as ready. */
  segment(number: bigint, options?: { readonly timeline?: number; readonly filler?: number }): WalFileName;
  acknowledged(): readonly string[];
  /** The same service after a crash: what was in memory is gone. */
  withRepositories(repositories: readonly Repository[]): ArchiveContext;
}

export function createWalPool(): WorkerPool {
  return createWorkerPool(new URL('./wal-worker.js', import.meta.url), 2);
}

export async function openLocalRepository(name: string): Promise<Repository> {
  const driver = await LocalDriver.open({ root: newDirectory('repo'), instance: 'test', access: 'read-write' });
  return { name: repositoryName(name), driver };
}

/** A data directory with pg_wal only, a spool, a catalog in memory: what the WAL room works on. */
export async function setUpWal(pool: WorkerPool, repositories: readonly Repository[]): Promise<WalSetup> {
  const dataDirectory = newDirectory('data');
  const status = join(dataDirectory, 'pg_wal', 'archive_status');
  mkdirSync(status, { recursive: true });
  beginServerRun(dataDirectory);
  const spoolDirectory = newDirectory('spool');
  const spool = new Spool(spoolDirectory);
  await spool.open();
  const catalog = SqliteCatalog.open(':memory:');
  const identity = {
    systemIdentifier: systemIdentifier('7300000000000000001'),
    majorVersion: 17,
    segmentBytes: SEGMENT_BYTES,
  };
  await catalog.registerCluster(MAIN, identity);
  const context: ArchiveContext = {
    ...{
      cluster: MAIN,
      identity,
      catalog,
      repositories,
      required: repositories,
      pool,
      clock: systemClock,
      compressionLevel: 1,
    },
    stagingDirectory: newDirectory('staging'),
  };
  return {
    ...{ context, catalog, spool, dataDirectory },
    segment(number, { timeline = 1, filler: bytes = 1000 } = {}) {
      const name = segmentName(timeline as Parameters<typeof segmentName>[0], number, SEGMENT_BYTES);
      writeFileSync(join(dataDirectory, 'pg_wal', name), buildSegment(number, timeline, bytes));
      writeFileSync(join(status, `${name}.ready`), '');
      return name;
    },
    acknowledged: () => {
      const directory = join(spoolDirectory, 'push');
      return existsSync(directory) ? readdirSync(directory).filter((name) => name.endsWith('.ok')) : [];
    },
    withRepositories: (others) => ({ ...context, repositories: others, required: others }),
  };
}

/** What a server that starts leaves in its data directory, as far as Walden reads it. */
export function beginServerRun(dataDirectory: string, started = 1_790_000_000): ServerRun {
  writeFileSync(join(dataDirectory, 'postmaster.pid'), `${process.pid}\n${dataDirectory}\n${started}\n5432\n`);
  return `${process.pid} ${started}` as ServerRun;
}

export function buildSegment(number: bigint, timeline = 1, fillerBytes = 1000): Buffer {
  const builder = new WalBuilder({ firstSegment: number, timeline });
  builder.add(filler(fillerBytes));
  builder.add(commit(1000 + Number(number), number * 1_000_000n));
  builder.switch();
  return builder.segments[0]!;
}
