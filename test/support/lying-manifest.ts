import { createHash } from 'node:crypto';
import type { BackupId, ClusterName, RepositoryName } from '../../catalog/catalog.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { decodeBackupRecord, encodeBackupRecord } from '../../src/repository/backup-record.ts';
import { compressBytes, StreamDecompressor } from '../../src/repository/codec.ts';
import { backupRecordKey, manifestKey } from '../../src/repository/keys.ts';
import type { StubDriver } from './stub-driver.ts';

export interface ManifestLine {
  path?: string;
  type?: string;
  size?: number;
  sha256?: string;
  pack?: number;
  offset?: number;
  skip?: number;
  frames?: [number, number][];
}

/**
 * Changes the manifest of a stored backup and has every checksum over it agree: what only a defect, or somebody who means
 * harm, would write. The last line counts what is there.
 */
export function lieInManifest(
  driver: StubDriver,
  { repository, cluster, id }: { repository: RepositoryName; cluster: ClusterName; id: BackupId },
  change: (entries: ManifestLine[]) => void,
): void {
  const key = manifestKey(cluster, id);
  const text = Buffer.concat(
    Array.from(new StreamDecompressor(key).feed(driver.objects.get(key)!), (piece) => Uint8Array.from(piece)),
  ).toString();
  const [first = '', ...rest] = text.trimEnd().split('\n');
  const entries = rest.slice(0, -1).map((line) => JSON.parse(line) as ManifestLine);
  change(entries);
  const total = entries.reduce((sum, entry) => sum + (entry.type === 'file' ? (entry.size ?? 0) : 0), 0);
  const lines = [...entries, { entries: entries.length, plainBytes: total }].map((line) => JSON.stringify(line));
  const manifest = compressBytes(Buffer.from(`${[first, ...lines].join('\n')}\n`), 1);
  const sha256 = createHash('sha256').update(manifest).digest('hex') as Sha256Hex;
  const recordKey = backupRecordKey(cluster, id);
  const record = decodeBackupRecord(driver.objects.get(recordKey)!, repository, recordKey);
  driver.objects.set(key, manifest);
  driver.objects.set(recordKey, encodeBackupRecord({ ...record, manifest: { bytes: manifest.length, sha256 } }));
}
