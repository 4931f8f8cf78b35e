import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs, {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type PackedFiles, packFiles } from '../../../src/backup/pack-files-task.ts';
import {
  createPackControl,
  DONE_BYTES,
  type EncodedEntries,
  packFilesTask,
  type PackFilesInput,
  type PackMember,
  STOP,
} from '../../../src/backup/pack-input.ts';
import { sealPack } from '../../../src/backup/seal-pack-task.ts';
import { isWaldenError } from '../../../src/errors.ts';
import { createTextRoom, piecesOfText } from '../../../src/platform/shared-text.ts';
import { createWorkerPool } from '../../../src/platform/worker-pool.ts';
import { FrameDecompressor } from '../../../src/repository/codec.ts';
import type { ManifestEntry, ManifestFile } from '../../../src/repository/manifest.ts';
import { newDirectory } from '../../support/sandbox.ts';

const hasTools =
  spawnSync('zstd', ['--version']).status === 0 &&
  spawnSync('tar', ['--version']).stdout.toString('utf8').includes('GNU tar');

function inputFor(directory: string, members: readonly PackMember[]): PackFilesInput {
  return {
    pack: join(directory, 'pack'),
    packNumber: 1,
    offset: 0,
    compressionLevel: 1,
    members,
    pages: undefined,
    room: createTextRoom(),
    control: createPackControl().buffer,
  };
}

function fileMember(root: string, path: string, content?: Buffer): PackMember {
  if (content !== undefined) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return { type: 'file', path, source: join(root, path) };
}

/** A file out of its frames, as a restore reads it. */
function readBack(pack: string, entry: ManifestFile): Buffer {
  const stored = readFileSync(pack);
  const decompressor = new FrameDecompressor();
  let at = entry.offset;
  const parts = entry.frames.map(([storedBytes, plainBytes]) => {
    at += storedBytes;
    const frame = stored.subarray(at - storedBytes, at);
    return Buffer.from(decompressor.decompress(frame, plainBytes, entry.path));
  });
  const plain = Buffer.concat(parts).subarray(entry.skip, entry.skip + entry.size);
  expect(createHash('sha256').update(plain).digest('hex')).toBe(entry.sha256);
  return plain;
}

function onlyFile(entries: readonly ManifestEntry[]): ManifestFile {
  const [entry, ...more] = entries;
  if (entry?.type !== 'file' || more.length > 0) throw new Error('not one file');
  return entry;
}

function decoded({ walden }: EncodedEntries): readonly ManifestEntry[] {
  const text = Buffer.concat(Array.from(piecesOfText(walden.lines), (piece) => Buffer.from(piece)));
  const lines = text.toString().split('\n').slice(0, -1);
  expect(lines).toHaveLength(walden.entries);
  return lines.map((line) => JSON.parse(line) as ManifestEntry);
}

function mixed(bytes: number): Buffer {
  const block = createHash('sha512').update(String(bytes)).digest();
  return Buffer.alloc(bytes, Buffer.concat([block, Buffer.alloc(200, 'words ')]));
}

describe('packing files', () => {
  const sizes = [0, 1, 511, 512, 513, 8192, 4 * 1024 * 1024 - 8192, 4 * 1024 * 1024, 9_000_001];

  it('keeps files of every size, each frame at most 4 MiB', () => {
    const root = newDirectory('pack-');
    const members = sizes.map((size) => fileMember(root, `base/5/${size}`, mixed(size)));
    const input = inputFor(newDirectory('staged-'), members);
    const { entries, offset } = packFiles(input);
    expect(statSync(input.pack).size).toBe(offset);
    for (const [index, size] of sizes.entries()) {
      const entry = entries[index] as ManifestFile;
      expect(entry).toMatchObject({ path: `base/5/${size}`, size, skip: 512, pack: 1 });
      expect(Math.max(...entry.frames.map(([, plain]) => plain))).toBeLessThanOrEqual(4 * 1024 * 1024);
      expect(readBack(input.pack, entry).equals(mixed(size))).toBe(true);
    }
    const done = new BigInt64Array(input.control)[DONE_BYTES];
    expect(done).toBe(BigInt(sizes.reduce((sum, size) => sum + size)));
  });

  it.skipIf(!hasTools)('makes packs that zstd and tar open together', () => {
    const root = newDirectory('pack-');
    const directory = newDirectory('staged-');
    const long = `deep/${'d'.repeat(90)}/${'f'.repeat(200)}`;
    const packs = [['a/1', long], ['b/ä']].map((paths, index) => {
      const members = [
        { type: 'directory', path: `empty${index}`, source: root } as const,
        ...paths.map((path) => fileMember(root, path, mixed(5_000_000 + index))),
      ];
      const input = { ...inputFor(directory, members), pack: join(directory, `${index}.tar.zst`) };
      const { offset } = packFiles(input);
      // Without a hash that was made on the way.
      const sealed = sealPack({ pack: input.pack, offset, sealedSha256: undefined });
      const stored = readFileSync(input.pack);
      expect(sealed).toEqual({ bytes: stored.byteLength, sha256: createHash('sha256').update(stored).digest('hex') });
      return input.pack;
    });
    const out = newDirectory('out-');
    execFileSync('sh', ['-c', 'zstd -dc "$@" | tar -xi', 'sh', ...packs], { cwd: out });
    expect(readFileSync(join(out, 'a/1')).equals(mixed(5_000_000))).toBe(true);
    expect(readFileSync(join(out, long)).equals(mixed(5_000_000))).toBe(true);
    expect(readFileSync(join(out, 'b/ä')).equals(mixed(5_000_001))).toBe(true);
    expect(statSync(join(out, 'empty1')).isDirectory()).toBe(true);
  });

  it('goes on where the pack ended', () => {
    const root = newDirectory('pack-');
    const input = inputFor(newDirectory('staged-'), [fileMember(root, 'a', mixed(1000))]);
    const first = packFiles(input);
    const second = packFiles({ ...input, offset: first.offset, members: [fileMember(root, 'b', mixed(2000))] });
    expect(readBack(input.pack, onlyFile(first.entries)).equals(mixed(1000))).toBe(true);
    expect(readBack(input.pack, onlyFile(second.entries)).equals(mixed(2000))).toBe(true);
  });

  describe('the hash that is made on the way', () => {
    /** Packs files of random bytes, which stay as long as they are: the tasks of several packs in the given order. */
    function packInTurn(packs: readonly string[], bytes: number): readonly (readonly [PackFilesInput, PackedFiles])[] {
      const root = newDirectory('pack-');
      const directory = newDirectory('staged-');
      const offsets = new Map<string, number>();
      return packs.map((pack, index) => {
        const members = [fileMember(root, `${index}`, randomBytes(bytes))];
        const offset = offsets.get(pack) ?? 0;
        const input = { ...inputFor(directory, members), pack: join(directory, pack), offset };
        const output = packFiles(input);
        offsets.set(pack, output.offset);
        return [input, output];
      });
    }

    function expectHashOfSealed({ pack }: PackFilesInput, { offset, sealedSha256 }: PackedFiles): void {
      const { bytes, sha256 } = sealPack({ pack, offset, sealedSha256 });
      const stored = readFileSync(pack);
      expect({ bytes, sha256 }).toEqual({
        bytes: stored.byteLength,
        sha256: createHash('sha256').update(stored).digest('hex'),
      });
    }

    it('is that of the sealed pack, also when the thread had other packs in between', () => {
      const [, , last, other] = packInTurn(['a', 'a', 'a', 'b'], 100_000);
      const [, again] = packInTurn(['c', 'd', 'c', 'd', 'c'], 100_000).slice(-2);
      for (const [input, output] of [last!, other!, again!]) {
        expect(output.sealedSha256).toBeDefined();
        expectHashOfSealed(input, output);
      }
    });

    it('is unknown rather than dear where another thread wrote much of the pack, and then it is made at the end', () => {
      const [, , last] = packInTurn(['a', 'b', 'a'], 17 * 1024 * 1024);
      const [input, output] = last!;
      expect(output.sealedSha256).toBeUndefined();
      expectHashOfSealed(input, output);
    });

    it('is not that of a task that failed', () => {
      const [first] = packInTurn(['a'], 100_000);
      const [input, { offset }] = first!;
      const stopped = createPackControl();
      Atomics.store(stopped, STOP, 1n);
      const failing = { ...input, offset, control: stopped.buffer };
      expect(() => packFiles(failing)).toThrow('interrupted');
      const again = { ...input, offset };
      expectHashOfSealed(again, packFiles(again));
    });
  });

  it('leaves out what vanished, and tells what is no file any more', () => {
    const root = newDirectory('pack-');
    execFileSync('mkfifo', [join(root, 'pipe')]);
    const gone = [fileMember(root, 'gone'), { type: 'directory', path: 'gone', source: join(root, 'gone') } as const];
    const output = packFiles(inputFor(newDirectory('staged-'), [...gone, fileMember(root, 'pipe')]));
    expect(output.entries).toEqual([]);
    expect(output.notes).toEqual(['pipe is not in the backup: it is no regular file']);
  });

  // The kernel says 4096 bytes of each of these files and gives less: as if it shrank after it was opened.
  const shrinking = '/sys/kernel/mm/transparent_hugepage/enabled';
  it.skipIf(!existsSync(shrinking))('fills up with zeros what is shorter than it was when opened', () => {
    const content = readFileSync(shrinking);
    const input = inputFor(newDirectory('staged-'), [{ type: 'file', path: 'base/5/1', source: shrinking }]);
    const entry = onlyFile(packFiles(input).entries);
    expect(entry.size).toBe(statSync(shrinking).size);
    expect(
      readBack(input.pack, entry).equals(Buffer.concat([content, Buffer.alloc(entry.size - content.length)])),
    ).toBe(true);
  });

  it('keeps a consistent length while a file grows and shrinks', async () => {
    const root = newDirectory('pack-');
    const member = fileMember(root, 'growing', mixed(30_000_000));
    const input = inputFor(newDirectory('staged-'), [member]);
    const pool = createWorkerPool(new URL('../../support/backup-worker.js', import.meta.url), 1);
    try {
      const packing = pool.run(packFilesTask, input);
      const control = new BigInt64Array(input.control);
      while (Atomics.load(control, DONE_BYTES) === 0n) await new Promise((resolve) => setImmediate(resolve));
      appendFileSync(member.source, Buffer.alloc(5_000_000, 'later '));
      truncateSync(member.source, 28_000_000);
      const entry = onlyFile(decoded((await packing).entries));
      expect(entry.size).toBe(30_000_000);
      const kept = readBack(input.pack, entry);
      expect(kept.subarray(0, 28_000_000).equals(mixed(30_000_000).subarray(0, 28_000_000))).toBe(true);
    } finally {
      await pool.close();
    }
  });

  it('stops when it is asked to', () => {
    const root = newDirectory('pack-');
    const control = createPackControl();
    control[STOP] = 1n;
    const input = { ...inputFor(newDirectory('staged-'), [fileMember(root, 'a', mixed(10))]), control: control.buffer };
    expect(() => packFiles(input)).toThrow(
      expect.toSatisfy((error: unknown) => isWaldenError(error, 'INTERRUPTED')) as Error,
    );
  });
});

describe('page checksums while packing', () => {
  const pages = { startLsn: 0x2_0000_0000n, segmentBlocks: 131_072 };

  /** Pages whose checksum cannot be right (it is never 0). */
  function badPage(lsn: bigint): Buffer {
    const page = Buffer.alloc(8192, 0x55);
    page.writeUInt32LE(Number(lsn >> 32n), 0);
    page.writeUInt32LE(Number(lsn & 0xffff_ffffn), 4);
    page.writeUInt16LE(0, 8);
    return page;
  }

  it('tells an old page with a wrong checksum from one that claims to be new, and passes empty ones', () => {
    const root = newDirectory('pack-');
    const newer = pages.startLsn + 0x100n;
    const content = Buffer.concat([Buffer.alloc(8192), badPage(1n), Buffer.alloc(3 * 1024 * 1024), badPage(newer)]);
    const member = fileMember(root, 'base/5/16384.1', Buffer.concat([content, Buffer.alloc(100, 1)]));
    const other = fileMember(root, 'pg_xact/0000', badPage(1n));
    const input = { ...inputFor(newDirectory('staged-'), [member, other]), pages };
    const output = packFiles(input);
    expect(output.badPages).toEqual([
      { path: 'base/5/16384.1', block: 1, lsn: undefined },
      { path: 'base/5/16384.1', block: 386, lsn: newer },
    ]);
    const entry = output.entries[0] as ManifestFile;
    expect(readBack(input.pack, entry).subarray(0, content.length).equals(content)).toBe(true);
  });

  it('takes a page that has lost its header for corrupt', () => {
    const root = newDirectory('pack-');
    const headless = Buffer.concat([Buffer.alloc(512), badPage(1n).subarray(512)]);
    const member = fileMember(root, 'global/1262', Buffer.concat([Buffer.alloc(8192), headless]));
    const output = packFiles({ ...inputFor(newDirectory('staged-'), [member]), pages });
    expect(output.badPages).toEqual([{ path: 'global/1262', block: 1, lsn: undefined }]);
  });

  it('takes a page that changes while it is read again for one in flux', () => {
    const root = newDirectory('pack-');
    const page = badPage(1n);
    const member = fileMember(root, 'base/5/16384', Buffer.concat([Buffer.alloc(8192), page]));
    const file = openSync(member.source, 'r+');
    const { readSync } = fs;
    let reads = 0;
    // Whoever reads finds the page changed the next time.
    const changing = (...parameters: Parameters<typeof readSync>): number => {
      const count = readSync(...parameters);
      reads += 1;
      page.writeUInt32LE(reads, 4000);
      writeSync(file, page, 0, page.length, 8192);
      return count;
    };
    Object.assign(fs, { readSync: changing });
    syncBuiltinESMExports();
    try {
      const output = packFiles({ ...inputFor(newDirectory('staged-'), [member]), pages });
      expect(output.badPages).toEqual([]);
      expect(reads).toBeGreaterThan(1);
    } finally {
      Object.assign(fs, { readSync });
      syncBuiltinESMExports();
      closeSync(file);
    }
  });
});
