import fs, { closeSync, openSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type FilePart, readBytes } from '../../../src/platform/byte-source.ts';
import { createReadingCells, whileReading } from '../../../src/platform/reading-cells.ts';
import { newDirectory, removeDirectory } from '../../support/sandbox.ts';

/** Larger than what is read at once. */
const BYTES = Buffer.from(Array.from({ length: 700_000 }, (_, index) => index % 251));

const DEADLINE = { ms: 1_000, late: () => new Error('too late') };

describe('a part of a file', () => {
  let directory: string;
  let descriptor: number;
  beforeEach(() => {
    directory = newDirectory('source');
    writeFileSync(join(directory, 'it'), BYTES);
    descriptor = openSync(join(directory, 'it'), 'r');
  });
  afterEach(() => {
    closeSync(descriptor);
    removeDirectory(directory);
  });

  function part(offset: number, length: number): FilePart {
    return { ...{ descriptor, offset, length }, what: 'the object', cells: createReadingCells() };
  }

  async function read(source: FilePart): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    for await (const chunk of readBytes(source)) pieces.push(Uint8Array.from(chunk));
    return Buffer.concat(pieces);
  }

  it('is read to its end, and no further', async () => {
    expect((await read(part(0, BYTES.length))).equals(BYTES)).toBe(true);
    expect((await read(part(1_000, 600_000))).equals(BYTES.subarray(1_000, 601_000))).toBe(true);
    expect((await read(part(5, 0))).length).toBe(0);
  });

  it('is an error when the file ends before it', async () => {
    await expect(read(part(1, BYTES.length))).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
  });

  it('is an error of the store when it cannot be read', async () => {
    const directoryDescriptor = openSync(directory, 'r');
    try {
      const source = { ...part(0, 1), descriptor: directoryDescriptor };
      await expect(read(source)).rejects.toMatchObject({
        code: 'STORAGE_UNAVAILABLE',
        message: 'unable to read the object (EISDIR)',
      });
    } finally {
      closeSync(directoryDescriptor);
    }
  });

  it('ends between two chunks after an abort', async () => {
    const source = part(0, BYTES.length);
    const abort = new AbortController();
    let chunks = 0;
    const reading = (async () => {
      for await (const chunk of readBytes(source)) {
        chunks += chunk.length > 0 ? 1 : 0;
        abort.abort();
      }
    })();
    const watched = whileReading(source.cells, reading, { signal: abort.signal });
    await expect(watched).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(chunks).toBe(1);
  });

  it('gives nothing of a read that was given up while it hung', async () => {
    const source = part(0, BYTES.length);
    const { readSync } = fs;
    vi.useFakeTimers();
    Object.assign(fs, {
      readSync: (...parameters: Parameters<typeof readSync>) => {
        // As long as this call lasts, time passes for the thread that waits.
        vi.advanceTimersByTime(2 * DEADLINE.ms);
        return readSync(...parameters);
      },
    });
    syncBuiltinESMExports();
    try {
      let chunks = 0;
      let begin: (() => void) | undefined;
      const reading = (async () => {
        await new Promise<void>((resolve) => (begin = resolve));
        for await (const chunk of readBytes(source)) chunks += chunk.length > 0 ? 1 : 0;
      })();
      const late = whileReading(source.cells, reading, { deadline: DEADLINE });
      begin?.();
      await expect(late).rejects.toThrow('too late');
      await expect(reading).rejects.toMatchObject({ code: 'INTERRUPTED' });
      expect(chunks).toBe(0);
    } finally {
      Object.assign(fs, { readSync });
      syncBuiltinESMExports();
      vi.useRealTimers();
    }
  });

  it('is not given up while its reader does something else', async () => {
    vi.useFakeTimers();
    try {
      const source = part(0, BYTES.length);
      let chunks = 0;
      let begin: (() => void) | undefined;
      const reading = (async () => {
        await new Promise<void>((resolve) => (begin = resolve));
        for await (const chunk of readBytes(source)) {
          chunks += chunk.length > 0 ? 1 : 0;
          vi.advanceTimersByTime(10 * DEADLINE.ms);
        }
      })();
      const watched = whileReading(source.cells, reading, { deadline: DEADLINE });
      begin?.();
      await watched;
      expect(chunks).toBe(Math.ceil(BYTES.length / (256 * 1024)));
    } finally {
      vi.useRealTimers();
    }
  });
});
