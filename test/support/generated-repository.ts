import { createHash } from 'node:crypto';
import type { BackupFacts, Catalog, WalFileRecord, WalIndex } from '../../catalog/catalog.ts';
import type { ObjectKey, Sha256Hex } from '../../storage-drivers/driver.ts';
import type { Lsn } from '../../src/postgres/lsn.ts';
import { type ParsedWalName, parseWalName, segmentNumberOfName } from '../../src/postgres/wal-name.ts';
import { encodeBackupRecord } from '../../src/repository/backup-record.ts';
import { ensureClusterFile } from '../../src/repository/cluster-file.ts';
import { compressBytes } from '../../src/repository/codec.ts';
import { backupRecordKey, manifestKey, packKey, walKey } from '../../src/repository/keys.ts';
import { bodyOfBytes, type StoredObject } from '../../src/repository/object-bytes.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { encodeWalObjectHeader, walFileRecord, type WalObjectHeader } from '../../src/repository/wal-object.ts';
import { backupStart, FACTS, IDENTITY, index, MAIN, micros, SEGMENT_BYTES, timeline } from './catalog-rows.ts';

/** A repository whose objects are made by hand, each recorded in a catalog as the service does it. */
export class GeneratedRepository {
  readonly repository: Repository;
  readonly #catalog: Catalog;

  constructor(repository: Repository, catalog: Catalog) {
    this.repository = repository;
    this.#catalog = catalog;
  }

  async begin(): Promise<void> {
    await ensureClusterFile(this.repository, MAIN, IDENTITY);
    await this.#catalog.registerCluster(MAIN, IDENTITY);
  }

  async addWal(name: string, walIndex?: WalIndex): Promise<WalFileRecord> {
    const file = parseWalName(name);
    const plain = Buffer.from(
      file.kind === 'history' ? '1\t0/3000000\tno recovery target specified\n' : `content of ${name}`,
    );
    const header: WalObjectHeader = {
      file,
      identity: IDENTITY,
      plainBytes: plain.length,
      sha256: createHash('sha256').update(plain).digest('hex') as Sha256Hex,
      archivedAt: micros(Number.parseInt(name.slice(16, 24), 16) || 0),
      index: walIndex,
    };
    const stored = Buffer.concat([encodeWalObjectHeader(header), compressBytes(plain, 3)]);
    const key = walKey(MAIN, file);
    await this.put(key, stored);
    const row = this.#row(header, file, key, stored.length, plain.toString());
    await this.#catalog.recordWalFile(row);
    return row;
  }

  /** Segments of one timeline, each with a commit. */
  async addSegments(timeline: number, numbers: readonly number[]): Promise<void> {
    for (const number of numbers) {
      const commit = micros(number * 1000);
      const facts = { firstCommit: commit, lastCommit: commit, commits: 1, firstXid: number, lastXid: number };
      const hex = (value: number): string => value.toString(16).toUpperCase().padStart(8, '0');
      await this.addWal(`${hex(timeline)}${hex(0)}${hex(number)}`, index(facts));
    }
  }

  async addBackup(id: ReturnType<typeof backupStart>['id']): Promise<void> {
    const start = backupStart({ id, repository: this.repository.name });
    const stored = { bytes: 10, sha256: 'ab'.repeat(32) as Sha256Hex };
    const rest = { backupLabel: 'START', tablespaceMap: '', packs: [stored], manifest: stored, waldenVersion: '0.1.0' };
    await this.put(backupRecordKey(MAIN, id), encodeBackupRecord({ start, facts: FACTS, ...rest }));
    await this.put(packKey(MAIN, id, 1), Buffer.from('a pack'));
    await this.#catalog.completeBackup(start, FACTS);
  }

  /** One with all of its objects, which needs segments `from` to `to` of timeline 1. */
  async addWholeBackup(
    id: ReturnType<typeof backupStart>['id'],
    from: number,
    to: number,
    others: Partial<BackupFacts> = {},
  ): Promise<void> {
    const start = backupStart({ id, repository: this.repository.name });
    const lsn = (segment: number): Lsn => (BigInt(segment) * BigInt(SEGMENT_BYTES) + 40n) as Lsn;
    const facts = { ...FACTS, timeline: timeline(1), startLsn: lsn(from), stopLsn: lsn(to), ...others };
    const packs = [Buffer.from(`pack 1 of ${id}`), Buffer.from(`pack 2 of ${id}`)];
    const manifest = Buffer.from(`manifest of ${id}`);
    for (const [index, pack] of packs.entries()) await this.put(packKey(MAIN, id, index + 1), pack);
    await this.put(manifestKey(MAIN, id), manifest);
    const rest = { backupLabel: 'START', tablespaceMap: '', waldenVersion: '0.1.0' };
    const objects = { packs: packs.map(storedObjectOf), manifest: storedObjectOf(manifest) };
    await this.put(backupRecordKey(MAIN, id), encodeBackupRecord({ start, facts, ...rest, ...objects }));
    await this.#catalog.completeBackup(start, facts);
  }

  async put(key: ObjectKey, bytes: Buffer): Promise<void> {
    await this.repository.driver.put(key, bodyOfBytes(bytes), { ifExists: 'replace' });
  }

  #row(header: WalObjectHeader, file: ParsedWalName, key: ObjectKey, storedBytes: number, text: string): WalFileRecord {
    const segment = file.segment === undefined ? undefined : segmentNumberOfName(file.segment, SEGMENT_BYTES);
    const history = file.kind === 'history' ? text : undefined;
    return walFileRecord(header, {
      ...{ repository: this.repository.name, cluster: MAIN, key, storedBytes, segment, history },
    });
  }
}

function storedObjectOf(bytes: Buffer): StoredObject {
  return { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') as Sha256Hex };
}
