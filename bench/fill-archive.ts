import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { SqliteCatalog } from '../catalog/sqlite/sqlite-catalog.ts';
import { openTables } from '../catalog/sqlite/tables.ts';
import { parseWalName } from '../src/postgres/wal-name.ts';
import { ensureClusterFile } from '../src/repository/cluster-file.ts';
import { compressBytes } from '../src/repository/codec.ts';
import { bodyOfBytes } from '../src/repository/object-bytes.ts';
import { ensureRepositoryFile } from '../src/repository/repository-file.ts';
import { encodeWalObjectHeader } from '../src/repository/wal-object.ts';
import { LocalDriver } from '../storage-drivers/local/local-driver.ts';
import type { Sha256Hex } from '../storage-drivers/driver.ts';
import { MAIN, NEAR, timeline } from '../test/support/catalog-rows.ts';
import type { WaldenHarness } from '../test/support/walden.ts';
import { type ArchiveShape, BUSY } from './archive-shape.ts';
import { busySegment } from './busy-segment.ts';

const TRANSACTION_SEGMENTS = 5_000;

/**
 * Fills the catalog of a service that does not run. The repository holds the segments alone that a search for one of
 * `searchedXids` has to read; the catalog knows of all others without there being objects.
 * @returns the milliseconds that one segment took to be recorded, without being synced
 */
export async function fillArchive(
  walden: WaldenHarness,
  shape: ArchiveShape,
  searchedXids: readonly number[] = [],
): Promise<number> {
  const path = join(walden.stateDirectory, 'catalog.sqlite');
  const begin = performance.now();
  fillSegments(path, shape);
  const millis = (performance.now() - begin) / shape.positions;
  const catalog = SqliteCatalog.open(path, { durability: 'at-close' });
  try {
    await catalog.registerCluster(MAIN, BUSY);
    for (const history of shape.histories()) await catalog.recordWalFile(history);
    for (const { start, facts } of shape.backups()) await catalog.completeBackup(start, facts);
    await fillRepository(walden, shape, catalog, searchedXids);
    return millis;
  } finally {
    await catalog.close();
  }
}

/** As the catalog records each, but many in one transaction. */
function fillSegments(path: string, shape: ArchiveShape): void {
  const { database, walFiles } = openTables(path, 'at-close');
  const record = database.transaction((from: number, to: number) => {
    for (let position = from; position < to; position += 1) {
      if (!shape.isMissing(position)) walFiles.record(shape.row(position));
    }
  });
  for (let from = 0; from < shape.positions; from += TRANSACTION_SEGMENTS) {
    record.immediate(from, Math.min(from + TRANSACTION_SEGMENTS, shape.positions));
  }
  database.close();
}

async function fillRepository(
  walden: WaldenHarness,
  shape: ArchiveShape,
  catalog: SqliteCatalog,
  searchedXids: readonly number[],
): Promise<void> {
  const driver = await LocalDriver.open({ root: walden.repositoryPath(NEAR), instance: 'bench', access: 'read-write' });
  const repository = { name: NEAR, driver };
  await ensureRepositoryFile(repository);
  await ensureClusterFile(repository, MAIN, BUSY);
  for (const position of await searched(shape, catalog, searchedXids)) {
    const plain = busySegment(shape, position);
    const row = shape.row(position);
    const sha256 = createHash('sha256').update(plain).digest('hex') as Sha256Hex;
    const { index, archivedAt, name, key } = row;
    const file = parseWalName(name);
    const header = { file, identity: BUSY, plainBytes: plain.length, sha256, archivedAt, index };
    const stored = Buffer.concat([encodeWalObjectHeader(header), compressBytes(plain, 3)]);
    await driver.put(key, bodyOfBytes(stored), { ifExists: 'replace' });
    await catalog.forgetWalFile(NEAR, MAIN, name);
    await catalog.recordWalFile({ ...row, sha256, storedBytes: stored.length });
  }
}

async function searched(
  shape: ArchiveShape,
  catalog: SqliteCatalog,
  xids: readonly number[],
): Promise<ReadonlySet<number>> {
  const positions = new Set<number>();
  const all = { from: shape.segment(0), to: shape.segment(shape.positions) };
  for (let own = 1; own <= shape.timelineOf(shape.positions - 1); own += 1) {
    for (const xid of xids) {
      const segments = await catalog.segmentsThatMayHoldXid(NEAR, MAIN, { timeline: timeline(own), ...all }, xid);
      for (const segment of segments) positions.add(Number(segment - shape.segment(0)));
    }
  }
  return positions;
}
