import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseWalName } from '../src/postgres/wal-name.ts';
import { encodeBackupRecord } from '../src/repository/backup-record.ts';
import { encodeClusterFile } from '../src/repository/cluster-file.ts';
import { compressBytes } from '../src/repository/codec.ts';
import { backupRecordKey, clusterKey, REPOSITORY_KEY } from '../src/repository/keys.ts';
import { encodeRepositoryFile } from '../src/repository/repository-file.ts';
import { encodeWalObjectHeader } from '../src/repository/wal-object.ts';
import type { ObjectKey, Sha256Hex } from '../storage-drivers/driver.ts';
import { MAIN } from '../test/support/catalog-rows.ts';
import { type ArchiveShape, BUSY } from './archive-shape.ts';
import { idleSegment } from './busy-segment.ts';

/**
 * Fills a repository with the objects that a rebuild of the catalog reads: whole WAL objects with headers of their own, which
 * all hold the content of one segment, and a commit record for each backup. Written without a driver, which would sync each.
 */
export function fillObjects(root: string, shape: ArchiveShape): void {
  const put = (key: ObjectKey, bytes: Buffer): void => {
    const path = join(root, key);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  };
  put(REPOSITORY_KEY, encodeRepositoryFile());
  put(clusterKey(MAIN), encodeClusterFile({ name: MAIN, history: [BUSY] }));
  const plain = idleSegment(shape, 0);
  const frame = compressBytes(plain, 3);
  const sha256 = createHash('sha256').update(plain).digest('hex') as Sha256Hex;
  for (let position = 0; position < shape.positions; position += 1) {
    if (shape.isMissing(position)) continue;
    const { key, name, archivedAt, index } = shape.row(position);
    const header = { file: parseWalName(name), identity: BUSY, plainBytes: plain.length, sha256, archivedAt, index };
    put(key, Buffer.concat([encodeWalObjectHeader(header), frame]));
  }
  const stored = { bytes: 10, sha256 };
  for (const { start, facts } of shape.backups()) {
    const rest = { backupLabel: 'START', tablespaceMap: '', packs: [stored], manifest: stored, waldenVersion: '0.1.0' };
    put(backupRecordKey(MAIN, start.id), encodeBackupRecord({ start, facts, ...rest }));
  }
}
