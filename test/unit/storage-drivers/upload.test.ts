import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { WaldenError } from '../../../src/errors.ts';
import { bodyOfBytes } from '../../../src/repository/object-bytes.ts';
import { type Part, sendInParts, sendWhole } from '../../../storage-drivers/upload/upload.ts';
import { type Allotment, UploadMemory } from '../../../storage-drivers/upload/upload-memory.ts';
import { bodyOf, fileBody, sha256Of } from '../../support/bodies.ts';
import { newDirectory } from '../../support/sandbox.ts';

const BYTES = randomBytes(1000);

function room(bytes = 10_000): UploadMemory {
  return new UploadMemory(bytes);
}

function shared(bytes: Buffer): Buffer {
  const memory = Buffer.from(new SharedArrayBuffer(bytes.length));
  bytes.copy(memory);
  return memory;
}

async function partsOf(bytes: Buffer, partBytes: number): Promise<readonly Part[]> {
  const parts: Part[] = [];
  await sendInParts(bodyOf(bytes), { memory: room(), partBytes, concurrency: 3 }, (part) => {
    parts.push(part);
    return Promise.resolve();
  });
  return parts;
}

/** Promises that the test settles. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return {
    opened,
    open: () => {
      open();
    },
  };
}

describe('a body that is sent in parts', () => {
  it.each([100, 300, 999, 1000, 5000])('comes whole and in order (parts of %i)', async (partBytes) => {
    const parts = await partsOf(BYTES, partBytes);
    expect(Buffer.concat(parts.map(({ bytes }) => bytes())).equals(BYTES)).toBe(true);
    expect(parts.map(({ number }) => number)).toEqual(parts.map((_, index) => index + 1));
    expect(parts.map(({ offset }) => offset)).toEqual(parts.map((_, index) => index * partBytes));
    expect(parts.map(({ isLast }) => isLast)).toEqual(parts.map((_, index) => index === parts.length - 1));
    for (const { bytes, length } of parts.slice(0, -1))
      expect([bytes().length, length]).toEqual([partBytes, partBytes]);
  });

  it.each([
    ['longer', { size: BYTES.length - 1 }],
    ['shorter', { size: BYTES.length + 1 }],
    ['other bytes', { sha256: () => Promise.resolve(sha256Of(Buffer.from('other'))) }],
  ])('is not ended when it is %s than promised', async (_how, lie) => {
    const sent: Part[] = [];
    const body = { ...bodyOf(BYTES), ...lie };
    const sending = sendInParts(body, { memory: room(), partBytes: 300, concurrency: 2 }, (part) => {
      sent.push(part);
      return Promise.resolve();
    });
    await expect(sending).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
    expect(sent.some(({ isLast }) => isLast)).toBe(false);
  });

  it('is read only as fast as there is memory for it', async () => {
    const first = gate();
    const started: number[] = [];
    const sending = sendInParts(bodyOf(BYTES), { memory: room(200), partBytes: 100, concurrency: 10 }, async (part) => {
      started.push(part.number);
      await first.opened;
    });
    for (let turn = 0; turn < 50; turn += 1) await setImmediate();
    expect(started).toEqual([1, 2]);
    first.open();
    await sending;
    expect(started).toHaveLength(10);
  });

  it('waits for what is on its way before it fails, and sends no more', async () => {
    const slow = gate();
    let slowEnded = false;
    const numbers: number[] = [];
    const sending = sendInParts(bodyOf(BYTES), { memory: room(), partBytes: 100, concurrency: 2 }, async (part) => {
      numbers.push(part.number);
      if (part.number === 2) throw new WaldenError('STORAGE_FULL', 'no room');
      await slow.opened;
      slowEnded = true;
    });
    slow.open();
    await expect(sending).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    expect(slowEnded).toBe(true);
    expect(numbers.length).toBeLessThan(10);
  });

  it('closes its source, whatever happens', async () => {
    const sources: Readable[] = [];
    const body = {
      ...bodyOf(BYTES),
      open: () => {
        const source = Readable.from([BYTES, BYTES], { objectMode: false });
        sources.push(source);
        return source;
      },
    };
    const failing = sendInParts(body, { memory: room(), partBytes: 100, concurrency: 1 }, () =>
      Promise.reject(new WaldenError('STORAGE_FULL', 'no room')),
    );
    await expect(failing).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    await expect(sendWhole(body, { memory: room() }, () => Promise.resolve())).rejects.toThrow();
    expect(sources.map(({ destroyed }) => destroyed)).toEqual([true, true]);
  });

  it('gives all its memory back, after a failure too', async () => {
    const memory = room(100);
    for (let turn = 0; turn < 3; turn += 1) {
      const failing = sendInParts(bodyOf(BYTES), { memory, partBytes: 100, concurrency: 4 }, () =>
        Promise.reject(new WaldenError('STORAGE_FULL', 'no room')),
      );
      await expect(failing).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    }
    expect(await sendWhole(bodyOf(BYTES), { memory }, ({ length }) => Promise.resolve(length))).toBe(1000);
    (await memory.take(100)).release(true);
  });
});

describe('a body in memory', () => {
  const body = bodyOfBytes(BYTES);

  it('comes whole and in order, from where it is', async () => {
    const streamless = { ...body, open: () => Readable.from([]) };
    const whole = await sendWhole(streamless, { memory: room() }, ({ bytes }) => Promise.resolve(bytes()));
    expect([whole, whole.buffer]).toEqual([BYTES, BYTES.buffer]);
    const parts: Buffer[] = [];
    await sendInParts(streamless, { memory: room(), partBytes: 300, concurrency: 3 }, ({ bytes }) => {
      parts.push(bytes());
      return Promise.resolve();
    });
    expect(parts.map(({ length }) => length)).toEqual([300, 300, 300, 100]);
    expect(Buffer.concat(parts)).toEqual(BYTES);
  });

  it.each([
    ['longer', BYTES.length - 1],
    ['shorter', BYTES.length + 1],
  ])('is not sent when it is %s than promised', async (_how, size) => {
    const sending = sendWhole({ ...body, size }, { memory: room() }, () => Promise.reject(new Error('sent')));
    await expect(sending).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
  });
});

describe('a body in a file', () => {
  const path = join(newDirectory('body'), 'file');
  writeFileSync(path, BYTES);
  const body = fileBody(path);

  it('comes whole and in order, without a stream', async () => {
    const streamless = { ...body, open: () => Readable.from([]) };
    expect(await sendWhole(streamless, { memory: room() }, ({ bytes }) => Promise.resolve(bytes()))).toEqual(BYTES);
    const parts: Buffer[] = [];
    await sendInParts(streamless, { memory: room(), partBytes: 300, concurrency: 3 }, ({ bytes }) => {
      parts.push(bytes());
      return Promise.resolve();
    });
    expect(parts.map(({ length }) => length)).toEqual([300, 300, 300, 100]);
    expect(Buffer.concat(parts)).toEqual(BYTES);
  });

  it.each([
    ['longer', { size: BYTES.length - 1 }],
    ['shorter', { size: BYTES.length + 1 }],
    ['other bytes', { sha256: () => Promise.resolve(sha256Of(Buffer.from('other'))) }],
  ])('is not sent when it is %s than promised', async (_how, lie) => {
    let sent = false;
    const sending = sendWhole({ ...body, ...lie }, { memory: room() }, () => {
      sent = true;
      return Promise.resolve();
    });
    await expect(sending).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
    expect(sent).toBe(false);
  });

  it('that is gone is an error, and keeps no memory', async () => {
    const memory = room(1000);
    const gone = { ...body, path: `${path}.gone` };
    await expect(sendWhole(gone, { memory }, () => Promise.resolve())).rejects.toThrow('ENOENT');
    (await memory.take(1000)).release(true);
  });
});

describe('a large body', () => {
  const large = randomBytes(5_000_000);
  const path = join(newDirectory('body'), 'large');
  writeFileSync(path, large);
  const hash = (algorithm: string, bytes: Buffer): string => createHash(algorithm).update(bytes).digest('hex');
  const partBytes = 2_000_000;
  const upload = {
    memory: room(20_000_000),
    partBytes,
    concurrency: 3,
    digests: ['md5'],
    wholeDigests: ['md5'],
  } as const;

  it.each([
    ['from a file', fileBody(path)],
    ['from a stream', { ...bodyOf(large), bytes: undefined, path: undefined }],
    ['from memory that threads share', bodyOfBytes(shared(large))],
    ['from other memory', bodyOfBytes(large)],
  ])('%s comes in order, with its digests', async (_from, body) => {
    const parts: Part[] = [];
    const bytes: Buffer[] = [];
    await sendInParts(body, upload, (part) => {
      parts.push(part);
      bytes.push(Buffer.from(part.bytes()));
      return Promise.resolve();
    });
    expect(Buffer.concat(bytes).equals(large)).toBe(true);
    expect(parts.map(({ digests }) => digests.md5)).toEqual(bytes.map((piece) => hash('md5', piece)));
    expect(parts.map(({ whole }) => whole.md5)).toEqual([undefined, undefined, hash('md5', large)]);
    const { sha256, md5 } = await sendWhole(body, upload, ({ digests }) => Promise.resolve(digests));
    expect([sha256, md5]).toEqual([hash('sha256', large), hash('md5', large)]);
  });

  it('is not ended when it has other bytes than promised', async () => {
    const lie = { ...fileBody(path), sha256: () => Promise.resolve(sha256Of(Buffer.from('other'))) };
    const sent: number[] = [];
    const sending = sendInParts(lie, upload, ({ number }) => Promise.resolve(void sent.push(number)));
    await expect(sending).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
    expect(sent).toEqual([1, 2]);
    await expect(sendWhole(lie, upload, () => Promise.reject(new Error('sent')))).rejects.toMatchObject({
      code: 'STORAGE_SIZE',
    });
  });

  it('comes into memory that is used again, but not where an attempt that failed may still be sending from it', async () => {
    const memory = room(20_000_000);
    const places = async (attempts: number): Promise<ReadonlySet<unknown>> => {
      const seen = new Set<unknown>();
      for (let turn = 0; turn < 3; turn += 1) {
        await sendWhole(fileBody(path), { memory }, ({ bytes }) => {
          for (let attempt = 0; attempt < attempts; attempt += 1) seen.add(bytes().buffer);
          return Promise.resolve();
        });
      }
      return seen;
    };
    expect((await places(1)).size).toBe(1);
    expect((await places(2)).size).toBe(3);
    const failed = new Set<unknown>();
    for (let turn = 0; turn < 2; turn += 1) {
      const failing = sendWhole(fileBody(path), { memory }, ({ bytes }) => {
        failed.add(bytes().buffer);
        return Promise.reject(new WaldenError('STORAGE_UNAVAILABLE', 'away'));
      });
      await expect(failing).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    }
    expect(failed.size).toBe(2);
  });
});

describe('memory for uploads', () => {
  it('costs no more to give back the more there is of it', async () => {
    const memory = room(96 * 1024 * 1024);
    for (let turn = 0; turn < 100; turn += 1) {
      (await memory.take(1)).release(true);
      // Lets the deadline of this test come.
      await setImmediate();
    }
  }, 10_000);

  it('never gives more than there is of it, nor keeps what is larger waiting', async () => {
    const memory = room(10_001);
    const first = await memory.take(5_000);
    let second: Allotment | undefined;
    const waiting = memory.take(5_002).then((allotment) => (second = allotment));
    await setImmediate();
    expect(second).toBeUndefined();
    first.release(true);
    (await waiting).release(true);
    (await memory.take(20_000)).release(true);
  });
});
