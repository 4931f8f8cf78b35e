import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FilePart, readBytes } from '../../../src/platform/byte-source.ts';
import { newDirectory, removeDirectory } from '../../support/sandbox.ts';

/** Larger than what is read at once. */
const BYTES = Buffer.from(Array.from({ length: 700_000 }, (_, index) => index % 251));

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
    return { ...{ descriptor, offset, length }, what: 'the object', stop: new SharedArrayBuffer(4) };
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

  it('ends between two chunks when it is told to', async () => {
    const source = part(0, BYTES.length);
    let chunks = 0;
    const reading = (async () => {
      for await (const chunk of readBytes(source)) {
        chunks += chunk.length > 0 ? 1 : 0;
        Atomics.store(new Int32Array(source.stop), 0, 1);
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(chunks).toBe(1);
  });
});
