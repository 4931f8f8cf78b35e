import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupFacts, BackupId, BackupRecord, ClusterName, RepositoryName } from '../../catalog/catalog.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import type { Lsn, SystemIdentifier, TimelineId } from '../../src/postgres/lsn.ts';
import { type Micros, parseMicros } from '../../src/postgres/timestamp.ts';
import type { SegmentBytes } from '../../src/postgres/wal-name.ts';
import { encodeBackupRecord } from '../../src/repository/backup-record.ts';
import { compressBytes } from '../../src/repository/codec.ts';
import { backupRecordKey, manifestKey, packKey } from '../../src/repository/keys.ts';
import {
  encodeManifestEntries,
  ManifestEncoder,
  type ManifestEntry,
  type ManifestFile,
} from '../../src/repository/manifest.ts';
import { isIncremental } from '../../src/repository/names.ts';
import { INCREMENT_HEAD_BYTES, isIncrementPath, parseIncrementHead } from '../../src/postgres/incremental-file.ts';
import { encodeTarHeader, tarEnd, tarPaddingBytes } from '../../src/repository/tar-header.ts';
import type { StubDriver } from './stub-driver.ts';

/**
 * Makes a stored backup out of files in memory, in one thread and without a server: the format of the repository, written
 * down once more.
 */
export type PlainEntry =
  | { readonly path: string; readonly type: 'file'; readonly bytes: Buffer }
  | { readonly path: string; readonly type: 'directory'; readonly mode?: number }
  | { readonly path: string; readonly type: 'tablespace'; readonly oid: number; readonly location: string };

export interface BackupToStore {
  readonly repository: RepositoryName;
  readonly cluster: ClusterName;
  readonly id: BackupId;
  readonly entries: readonly PlainEntry[];
  readonly facts?: Partial<BackupFacts>;
  readonly frameBytes?: number;
  readonly packBytes?: number;
}

const FACTS: BackupFacts = {
  identity: { systemIdentifier: '7' as SystemIdentifier, majorVersion: 17, segmentBytes: 1048576 as SegmentBytes },
  parent: undefined,
  timeline: 1 as TimelineId,
  startLsn: 0x200028n as Lsn,
  stopLsn: 0x200100n as Lsn,
  stoppedAt: parseMicros('2026-11-22T02:15:10Z'),
  finishedAt: parseMicros('2026-11-22T02:15:11Z'),
  files: 0,
  plainBytes: 0,
  storedBytes: 0,
  checksumsVerified: true,
  corruptPages: [],
  tablespaces: [],
};

/** The objects are in the driver when it returns. The label is that of the entry `backup_label`. */
export function storeBackup(driver: StubDriver, backup: BackupToStore): BackupRecord & { readonly facts: BackupFacts } {
  const packer = new Packer(backup.packBytes ?? 64 * 1024, backup.frameBytes ?? 16 * 1024);
  const encoder = new ManifestEncoder();
  const lines = [encoder.begin(backup.id)];
  let files = 0;
  let plainBytes = 0;
  let backupLabel = '';
  for (const entry of backup.entries) {
    lines.push(
      encoder.entries(
        encodeManifestEntries([
          entry.type === 'file' ? packer.add(entry.path, entry.bytes, isIncremental(backup.id)) : manifestEntry(entry),
        ]),
      ),
    );
    if (entry.type !== 'file') continue;
    files += 1;
    plainBytes += entry.bytes.length;
    if (entry.path === 'backup_label') backupLabel = entry.bytes.toString();
  }
  lines.push(encoder.end());
  const packs = packer.finish();
  packs.forEach((bytes, index) => driver.objects.set(packKey(backup.cluster, backup.id, index + 1), bytes));
  const manifest = compressBytes(Buffer.from(lines.join('')), 1);
  driver.objects.set(manifestKey(backup.cluster, backup.id), manifest);
  const storedBytes = packs.reduce((sum, { length }) => sum + length, 0);
  const facts: BackupFacts = { ...FACTS, files, plainBytes, storedBytes, ...backup.facts };
  const { repository, cluster, id } = backup;
  const start = { repository, cluster, id, label: 'test', startedAt: parseMicros('2026-11-22T02:15:00Z') };
  const record = encodeBackupRecord({
    start,
    facts,
    backupLabel,
    tablespaceMap: '',
    packs: packs.map(stored),
    manifest: stored(manifest),
    waldenVersion: 'test',
  });
  driver.objects.set(backupRecordKey(cluster, id), record);
  return { ...start, state: 'complete', facts, error: undefined };
}

/** What a base backup takes of a data directory; `backup_label` and `pg_control` last. */
export function entriesOfDirectory(directory: string, backupLabel: string): readonly PlainEntry[] {
  const entries: PlainEntry[] = [];
  const walk = (path: string): void => {
    for (const name of readdirSync(join(directory, path)).sort()) {
      const below = path === '' ? name : `${path}/${name}`;
      if (/^(postmaster\.(pid|opts)|global\/pg_control|pg_wal\/.+|pg_replslot\/.+)$/.test(below)) continue;
      const link = /^pg_tblspc\/(\d+)$/.exec(below);
      if (link?.[1] !== undefined) {
        const location = readlinkSync(join(directory, below));
        entries.push({ path: below, type: 'tablespace', oid: Number(link[1]), location });
        walk(below);
      } else if (statSync(join(directory, below)).isDirectory()) {
        entries.push({ path: below, type: 'directory' });
        walk(below);
      } else {
        entries.push({ path: below, type: 'file', bytes: readFileSync(join(directory, below)) });
      }
    }
  };
  walk('');
  entries.push({ path: 'backup_label', type: 'file', bytes: Buffer.from(backupLabel) });
  entries.push({ path: 'global/pg_control', type: 'file', bytes: readFileSync(join(directory, 'global/pg_control')) });
  return entries;
}

function manifestEntry(entry: Exclude<PlainEntry, { type: 'file' }>): ManifestEntry {
  return entry.type === 'tablespace' ? entry : { path: entry.path, type: 'directory', mode: entry.mode ?? 0o700 };
}

class Packer {
  readonly #packs: Buffer[][] = [[]];
  readonly #packBytes: number;
  readonly #frameBytes: number;
  #offset = 0;

  constructor(packBytes: number, frameBytes: number) {
    this.#packBytes = packBytes;
    this.#frameBytes = frameBytes;
  }

  add(path: string, bytes: Buffer, isIncremental: boolean): ManifestFile {
    if (this.#offset > this.#packBytes) this.#cut();
    const mtimeSeconds = 1_790_000_000;
    const header = encodeTarHeader({
      path,
      type: 'file',
      size: bytes.length,
      mode: 0o600,
      uid: 0,
      gid: 0,
      mtimeSeconds,
    });
    const plain = Buffer.concat([header, bytes, Buffer.alloc(tarPaddingBytes(bytes.length))]);
    const offset = this.#offset;
    const frames: [number, number][] = [];
    for (let at = 0; at < plain.length; at += this.#frameBytes) {
      const part = plain.subarray(at, at + this.#frameBytes);
      frames.push([this.#append(compressBytes(part, 1)), part.length]);
    }
    return {
      path,
      type: 'file',
      size: bytes.length,
      mode: 0o600,
      mtime: (mtimeSeconds * 1e6) as Micros,
      sha256: hashOf(bytes),
      pack: this.#packs.length,
      offset,
      skip: header.length,
      frames,
      ...(isIncremental && isIncrementPath(path)
        ? { increment: parseIncrementHead(bytes.subarray(0, INCREMENT_HEAD_BYTES), bytes.length, path) }
        : {}),
    };
  }

  finish(): readonly Buffer[] {
    this.#append(compressBytes(tarEnd(), 1));
    return this.#packs.map((frames) => Buffer.concat(frames));
  }

  #cut(): void {
    this.#append(compressBytes(tarEnd(), 1));
    this.#packs.push([]);
    this.#offset = 0;
  }

  #append(frame: Buffer): number {
    this.#packs.at(-1)?.push(frame);
    this.#offset += frame.length;
    return frame.length;
  }
}

function stored(bytes: Buffer): { readonly bytes: number; readonly sha256: Sha256Hex } {
  return { bytes: bytes.length, sha256: hashOf(bytes) };
}

function hashOf(bytes: Buffer): Sha256Hex {
  return createHash('sha256').update(bytes).digest('hex') as Sha256Hex;
}
