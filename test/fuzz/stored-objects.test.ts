import { createHash } from 'node:crypto';
import { existsSync, readFileSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SqliteCatalog } from '../../catalog/sqlite/sqlite-catalog.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { createByteChannel } from '../../src/platform/byte-channel.ts';
import { timelineId } from '../../src/postgres/lsn.ts';
import { micros } from '../../src/postgres/timestamp.ts';
import { parseWalName } from '../../src/postgres/wal-name.ts';
import { backupDocument } from '../../src/repository/backup-document.ts';
import { compressBytes } from '../../src/repository/codec.ts';
import { rebuildCatalog } from '../../src/repository/rebuild-catalog.ts';
import { isNestedTooDeep, sealJson } from '../../src/repository/sealed-json.ts';
import { encodeWalObjectHeader } from '../../src/repository/wal-object.ts';
import { type FileToRestore, restoreFiles } from '../../src/restore/restore-files-task.ts';
import { searchSegment } from '../../src/restore/search-segment-task.ts';
import { verifyWalObject } from '../../src/wal/verify-task.ts';
import { IDENTITY, index, MAIN, NEAR } from '../support/catalog-rows.ts';
import { FUZZ_TIMEOUT_MS, fuzz } from '../support/fuzz.ts';
import { GeneratedRepository } from '../support/generated-repository.ts';
import { type Json, mutated, mutatedJson } from '../support/mutations.ts';
import { newDirectory, removeDirectory } from '../support/sandbox.ts';
import { type StubDriver, stubDriver } from '../support/stub-driver.ts';
import { buildSegment } from '../support/wal-setup.ts';

const NAME = parseWalName('000000010000000000000003');
const BUILT = { ...IDENTITY, systemIdentifier: '7300000000000000001' as never, segmentBytes: (1 << 20) as never };
const MIB = 1024 * 1024;

let directory: string;
beforeAll(() => {
  directory = newDirectory('stored');
});
afterAll(() => {
  removeDirectory(directory);
});

function sha256(bytes: Uint8Array): Sha256Hex {
  return createHash('sha256').update(bytes).digest('hex') as Sha256Hex;
}

function storedSegment(plain: Buffer, plainBytes = plain.length): Buffer {
  const facts = {
    file: NAME,
    identity: BUILT,
    plainBytes,
    sha256: sha256(plain),
    archivedAt: micros(1),
    index: undefined,
  };
  return Buffer.concat([encodeWalObjectHeader(facts), compressBytes(plain, 1)]);
}

/** Gives a task the chunks. @returns how many of them it took */
async function feed(
  task: (bytes: ReturnType<typeof createByteChannel>['receiver']) => Promise<unknown>,
  chunks: Iterable<Uint8Array>,
): Promise<number> {
  const channel = createByteChannel();
  let taken = 0;
  async function* source(): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) {
      await Promise.resolve();
      taken += 1;
      yield Uint8Array.from(chunk);
    }
  }
  const [outcome] = await Promise.allSettled([task(channel.receiver), channel.send(source())]);
  if (outcome.status === 'rejected') throw outcome.reason;
  return taken;
}

function verify(chunks: Iterable<Uint8Array>, target?: string): Promise<number> {
  const input = { name: NAME.name, systemIdentifier: BUILT.systemIdentifier, target };
  return feed((bytes) => verifyWalObject({ bytes, ...input }), chunks);
}

function search(chunks: Iterable<Uint8Array>, plain: Uint8Array): Promise<number> {
  const input = { object: 'it', identity: BUILT, timeline: timelineId(1), segment: 3n, sha256: sha256(plain) };
  return feed(
    (bytes) => searchSegment({ bytes, ...input, kind: 'segment', xid: 1003, restorePoint: undefined }),
    chunks,
  );
}

describe('a stored WAL file', () => {
  const plain = buildSegment(3n);
  const stored = storedSegment(plain);

  it('is fetched or refused, and a refused one leaves no file', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const target = join(directory, 'wal');
    await fuzz(mutated(stored), 400, async (bytes) => {
      try {
        await verify([bytes], target);
      } catch (error) {
        expect(existsSync(target)).toBe(false);
        throw error;
      }
      expect(readFileSync(target)).toEqual(plain);
      unlinkSync(target);
    });
  });

  it('is searched or refused', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    await fuzz(mutated(stored), 400, (bytes) => search([bytes], plain));
  });

  it('is let go of when more comes out of it than was archived', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    // Each chunk is small and holds 32 MiB.
    const bomb = compressBytes(Buffer.alloc(32 * MIB), 1);
    const chunks = [stored, ...Array.from({ length: 100 }, () => bomb)];
    for (const task of [() => counted(verify), () => counted((given) => search(given, plain))])
      expect(await task()).toBeLessThan(10);

    async function counted(work: (given: Iterable<Uint8Array>) => Promise<number>): Promise<number> {
      let taken = 0;
      function* given(): Generator<Uint8Array> {
        for (const chunk of chunks) {
          taken += 1;
          yield chunk;
        }
      }
      await expect(work(given())).rejects.toMatchObject({
        code: expect.stringMatching(/CHECKSUM_MISMATCH|FORMAT_INVALID/) as string,
      });
      return taken;
    }
  });
});

describe('a pack', () => {
  const contents = [Buffer.alloc(9000, 'a'), Buffer.from('b'), Buffer.alloc(0)];
  const frames = contents.map((bytes) => compressBytes(Buffer.concat([Buffer.alloc(512), bytes]), 1));
  const files = contents.map((bytes, at): FileToRestore => ({
    ...{ path: `base/${at}`, target: '', size: bytes.length, mode: 0o600, mtime: micros(1_700_000_000_000_000) },
    ...{ sha256: sha256(bytes), skip: 512, before: 0, frames: [[frames[at]!.length, 512 + bytes.length]] },
  }));

  it('is restored or refused', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    await fuzz(
      fc.tuple(mutated(Buffer.concat(frames)), fc.integer({ min: 10, max: 10_000 })),
      300,
      async ([bytes, cut]) => {
        const chunks = Array.from({ length: Math.ceil(bytes.length / cut) }, (_, at) =>
          bytes.subarray(at * cut, (at + 1) * cut),
        );
        const placed = files.map((file, at) => ({ ...file, target: join(directory, `file${at}`) }));
        await feed(
          (channel) => restoreFiles({ bytes: channel, files: placed, object: 'it', owner: undefined, again: true }),
          chunks,
        );
      },
    );
  });
});

describe('a repository with one changed object', () => {
  let objects: ReadonlyMap<string, Buffer>;
  let names: readonly string[];

  beforeAll(async () => {
    const driver = stubDriver();
    const catalog = SqliteCatalog.open(':memory:');
    const made = new GeneratedRepository({ name: NEAR, driver }, catalog);
    await made.begin();
    await made.addSegments(1, [1, 2, 3]);
    await made.addWal('00000002.history');
    await made.addWal(
      '000000020000000000000003',
      index({ restorePoints: [{ name: 'p', lsn: 0x3000028n as never, time: micros(5) }] }),
    );
    await made.addBackup('20261122T021500F' as never);
    await catalog.close();
    objects = driver.objects;
    names = [...objects.keys()].filter((key) => !key.endsWith('.tar.zst'));
  });

  function withObjects(changed: string, bytes: Buffer): StubDriver {
    const driver = stubDriver();
    for (const [key, value] of objects) driver.objects.set(key, value);
    driver.objects.set(changed, bytes);
    return driver;
  }

  /** Bytes of one object with changes that its checksums do not show. */
  const change = fc.nat().chain((at) => {
    const key = names[at % names.length]!;
    const bytes = objects.get(key)!;
    return fc.oneof(
      mutated(bytes).map((other) => [key, other] as const),
      mutatedJson(jsonOf(bytes)).map((json) => [key, withJson(bytes, json)] as const),
    );
  });

  it('is read but for that one, and what is read can be shown', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    await fuzz(change, 400, async ([key, bytes]) => {
      const catalog = SqliteCatalog.open(':memory:');
      const notes: string[] = [];
      try {
        const repositories = [{ name: NEAR, driver: withObjects(key, bytes) }];
        const { signal } = new AbortController();
        await rebuildCatalog({ repositories, clusters: [MAIN], catalog, signal, note: (text) => notes.push(text) });
        const found: string[] = [];
        for await (const file of catalog.walFiles(NEAR, MAIN)) found.push(file.key);
        const others = names.filter((name) => name.includes('/wal/') && name !== key);
        // Another cluster in cluster.json makes all the rest that of another one.
        if (!key.endsWith('cluster.json')) expect(found).toEqual(expect.arrayContaining(others));
        JSON.stringify((await catalog.backups(MAIN)).map((backup) => backupDocument(backup)));
        await catalog.walRanges(NEAR, MAIN);
      } finally {
        await catalog.close();
      }
    });
  });

  it('gives no history file more memory than it has bytes', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const key = names.find((name) => name.endsWith('.history.zst'))!;
    const zeros = compressBytes(Buffer.alloc(32 * MIB), 1);
    const bomb = Buffer.concat([objects.get(key)!, ...Array.from({ length: 200 }, () => zeros)]);
    await fuzz(fc.constant(bomb), 1, async (bytes) => {
      const catalog = SqliteCatalog.open(':memory:');
      const notes: string[] = [];
      const repositories = [{ name: NEAR, driver: withObjects(key, bytes) }];
      const { signal } = new AbortController();
      await rebuildCatalog({ repositories, clusters: [MAIN], catalog, signal, note: (text) => notes.push(text) });
      await catalog.close();
      expect(notes).toEqual([expect.stringContaining('00000002.history')]);
    });
  });
});

/** The JSON of a sealed document or of the head of a WAL file. */
function jsonOf(bytes: Buffer): Json {
  return JSON.parse(isSealed(bytes) ? bytes.toString() : bytes.toString('utf8', 8, 4096)) as Json;
}

function withJson(bytes: Buffer, json: Json): Buffer {
  const members = typeof json === 'object' && json !== null && !Array.isArray(json) ? json : { json };
  if (isSealed(bytes)) {
    const sealed = members as Record<string, Json>;
    // To seal what is deep and wide would take the memory that reading it must not take.
    return isNestedTooDeep(sealed) ? Buffer.from(JSON.stringify({ ...sealed, sha256: 'any' })) : sealJson(sealed);
  }
  const head = Buffer.alloc(4096, ' ');
  bytes.copy(head, 0, 0, 8);
  head.write(JSON.stringify(json), 8);
  return Buffer.concat([head, bytes.subarray(4096)]);
}

function isSealed(bytes: Buffer): boolean {
  return bytes[0] === 0x7b;
}
