import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { BackupId } from '../../../catalog/catalog.ts';
import { isWaldenError } from '../../../src/errors.ts';
import { systemIdentifier } from '../../../src/postgres/lsn.ts';
import { segmentBytes } from '../../../src/postgres/wal-name.ts';
import { ensureClusterFile, readClusterFile } from '../../../src/repository/cluster-file.ts';
import { compressBytes } from '../../../src/repository/codec.ts';
import { clusterKey, manifestKey, REPOSITORY_KEY } from '../../../src/repository/keys.ts';
import { encodeManifestEntries, ManifestEncoder, type ManifestEntry } from '../../../src/repository/manifest.ts';
import { readManifest } from '../../../src/repository/manifest-reader.ts';
import { clusterName, repositoryName } from '../../../src/repository/names.ts';
import { bodyOfBytes, readSmallObject } from '../../../src/repository/object-bytes.ts';
import { ensureRepositoryFile } from '../../../src/repository/repository-file.ts';
import type { Repository } from '../../../src/repository/repository.ts';
import { sealJson } from '../../../src/repository/sealed-json.ts';
import type { Sha256Hex } from '../../../storage-drivers/driver.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';

const main = clusterName('main');
const identity = {
  systemIdentifier: systemIdentifier('7312345678901234567'),
  majorVersion: 15,
  segmentBytes: segmentBytes(16 * 1024 * 1024),
};

let repository: Repository;

beforeEach(() => {
  repository = { name: repositoryName('local'), driver: new MemoryDriver() };
});

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'no error';
  } catch (error) {
    return isWaldenError(error) ? error.code : String(error);
  }
}

describe('marking a repository', () => {
  it('writes walden.json once', async () => {
    await ensureRepositoryFile(repository);
    const before = await readSmallObject(repository.driver, REPOSITORY_KEY, 1000);
    await ensureRepositoryFile(repository);
    expect((await readSmallObject(repository.driver, REPOSITORY_KEY, 1000)).equals(before)).toBe(true);
  });

  it('refuses a repository of a later version', async () => {
    await repository.driver.put(REPOSITORY_KEY, bodyOfBytes(sealJson({ format: 2 })), { ifExists: 'fail' });
    expect(await codeOf(ensureRepositoryFile(repository))).toBe('FORMAT_TOO_NEW');
  });

  it('is done by one of two services at the same time', async () => {
    await Promise.all([ensureRepositoryFile(repository), ensureRepositoryFile(repository)]);
    expect(await codeOf(ensureRepositoryFile(repository))).toBe('no error');
  });
});

describe('recording the identity of a cluster', () => {
  it('is done at first use, and later uses must be of the same cluster', async () => {
    expect(await readClusterFile(repository, main)).toBeUndefined();
    await Promise.all([ensureClusterFile(repository, main, identity), ensureClusterFile(repository, main, identity)]);
    expect(await readClusterFile(repository, main)).toEqual({ name: main, history: [identity] });
    for (const other of [
      { ...identity, systemIdentifier: systemIdentifier('1') },
      { ...identity, majorVersion: 16 },
      { ...identity, segmentBytes: segmentBytes(1024 * 1024) },
    ]) {
      expect(await codeOf(ensureClusterFile(repository, main, other))).toBe('SERVER_MISMATCH');
    }
  });

  it('does not believe a damaged file', async () => {
    await repository.driver.put(clusterKey(main), bodyOfBytes(Buffer.from('{')), { ifExists: 'fail' });
    expect(await codeOf(ensureClusterFile(repository, main, identity))).toBe('FORMAT_INVALID');
  });
});

describe('reading a manifest', () => {
  const id = '20261122T021500F' as BackupId;
  const directories: ManifestEntry[] = ['base', 'global'].map((path) => ({ type: 'directory', path, mode: 0o700 }));

  function encoded(): Buffer {
    const encoder = new ManifestEncoder();
    const text = encoder.begin(id) + encoder.entries(encodeManifestEntries(directories)) + encoder.end();
    return compressBytes(Buffer.from(text), 3);
  }

  async function readStored(stored: Buffer, named: Buffer): Promise<ManifestEntry[]> {
    await repository.driver.put(manifestKey(main, id), bodyOfBytes(stored), { ifExists: 'replace' });
    const manifest = {
      bytes: named.byteLength,
      sha256: createHash('sha256').update(named).digest('hex') as Sha256Hex,
    };
    const entries: ManifestEntry[] = [];
    for await (const entry of readManifest(repository, { manifest, start: { cluster: main, id } })) entries.push(entry);
    return entries;
  }

  it('gives the entries of the object that backup.json names, and of no other', async () => {
    expect(await readStored(encoded(), encoded())).toEqual(directories);
    expect(await codeOf(readStored(encoded(), Buffer.from('another')))).toBe('CHECKSUM_MISMATCH');
    expect(await codeOf(readStored(encoded().subarray(0, -1), encoded()))).toBe('CHECKSUM_MISMATCH');
  });

  it('fails when there is none', async () => {
    const manifest = { bytes: 1, sha256: 'a'.repeat(64) as Sha256Hex };
    const reading = readManifest(repository, { manifest, start: { cluster: main, id } });
    expect(await codeOf(reading.next())).toBe('STORAGE_OBJECT_MISSING');
  });
});
