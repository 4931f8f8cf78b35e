import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { isWaldenError } from '../../../src/errors.ts';
import {
  compressBytes,
  FrameCompressor,
  FrameDecompressor,
  StreamCompressor,
  StreamDecompressor,
} from '../../../src/repository/codec.ts';

const hasZstd = spawnSync('zstd', ['--version']).status === 0;

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return isWaldenError(error) ? error.code : 'not a WaldenError';
  }
}

function mixedBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length, 'the same words again and again ');
  randomBytes(Math.floor(length / 3)).copy(bytes, Math.floor(length / 3));
  return bytes;
}

function stream(plain: Buffer, chunkBytes: number): Buffer {
  const compressor = new StreamCompressor(1);
  const pieces: Uint8Array[] = [];
  const keep = (piece: Uint8Array): void => {
    pieces.push(Buffer.from(piece));
  };
  for (let at = 0; at < plain.byteLength; at += chunkBytes) {
    compressor.feed(plain.subarray(at, at + chunkBytes), keep);
  }
  compressor.finish(keep);
  return Buffer.concat(pieces);
}

function unstream(stored: Uint8Array, chunkBytes: number): Buffer {
  const decompressor = new StreamDecompressor('the test object');
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < stored.byteLength; at += chunkBytes) {
    for (const piece of decompressor.feed(stored.subarray(at, at + chunkBytes))) pieces.push(Uint8Array.from(piece));
  }
  decompressor.finish();
  return Buffer.concat(pieces);
}

const skippable = Buffer.concat([Buffer.from([0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0]), Buffer.from('hello')]);

describe('one-shot frames', () => {
  it('give back what they were made of', () => {
    const plain = mixedBytes(4 * 1024 * 1024);
    const frame = Buffer.from(new FrameCompressor(3).compress(plain));
    expect(Buffer.from(new FrameDecompressor().decompress(frame, plain.byteLength, 'a frame')).equals(plain)).toBe(
      true,
    );
  });

  it('are refused when a byte was changed or the length is another', () => {
    const frame = compressBytes(mixedBytes(100_000), 3);
    const decompressor = new FrameDecompressor();
    expect(codeOf(() => decompressor.decompress(frame, 99_999, 'a frame'))).toBe('CHECKSUM_MISMATCH');
    expect(codeOf(() => decompressor.decompress(frame, 100_001, 'a frame'))).toBe('CHECKSUM_MISMATCH');
    frame.writeUInt8(frame.readUInt8(20_000) ^ 1, 20_000);
    expect(codeOf(() => decompressor.decompress(frame, 100_000, 'a frame'))).toBe('CHECKSUM_MISMATCH');
  });
});

describe('streams', () => {
  it.each([1, 1000, 65_536, 10_000_000])('come back whole in chunks of %i bytes', (chunkBytes) => {
    const plain = mixedBytes(chunkBytes === 1 ? 5_000 : 3_000_000);
    const stored = stream(plain, chunkBytes);
    expect(unstream(stored, chunkBytes).equals(plain)).toBe(true);
  });

  it('of nothing are one empty frame', () => {
    expect(unstream(stream(Buffer.alloc(0), 10), 10).byteLength).toBe(0);
  });

  it('may hold several frames and skippable frames', () => {
    const stored = Buffer.concat([
      skippable,
      stream(mixedBytes(1000), 100),
      skippable,
      compressBytes(Buffer.from('end'), 1),
    ]);
    for (const chunkBytes of [1, 7, 5000]) {
      expect(unstream(stored, chunkBytes).toString('latin1').endsWith('end')).toBe(true);
    }
  });

  it('that expand far are given out in bounded pieces', () => {
    const plain = Buffer.alloc(50_000_000);
    expect(unstream(stream(plain, 1_000_000), 1000).equals(plain)).toBe(true);
  });

  it('are refused when cut short', () => {
    const stored = stream(mixedBytes(300_000), 1000);
    for (const length of [0, 2, 10, stored.byteLength - 1]) {
      expect(codeOf(() => unstream(stored.subarray(0, length), 1000))).toBe('FORMAT_INVALID');
    }
  });

  it('are refused when damaged or of another format', () => {
    const stored = stream(mixedBytes(300_000), 1000);
    const end = stored.byteLength - 1;
    stored.writeUInt8(stored.readUInt8(end) ^ 1, end);
    expect(codeOf(() => unstream(stored, 1000))).toBe('CHECKSUM_MISMATCH');
    expect(codeOf(() => unstream(Buffer.from('not compressed at all'), 3))).toBe('FORMAT_INVALID');
  });

  it.skipIf(!hasZstd)('open with zstd', () => {
    const plain = mixedBytes(500_000);
    const opened = execFileSync('zstd', ['-dc'], { input: Buffer.concat([skippable, stream(plain, 5000)]) });
    expect(opened.equals(plain)).toBe(true);
  });
});
