import { randomBytes } from 'node:crypto';
import {
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { isWaldenError } from '../../../../src/errors.ts';
import { type TimelineId } from '../../../../src/postgres/lsn.ts';
import { type WalFileName } from '../../../../src/postgres/wal-name.ts';
import { ReceiveSpool } from '../../../../src/wal/receive/receive-spool.ts';
import { SegmentWriter } from '../../../../src/wal/receive/segment-writer.ts';
import { fsyncError, spyOnWritev } from '../../../support/fsync-calls.ts';
import { newDirectory } from '../../../support/sandbox.ts';
import { FIFTH, SIXTH, SIZE, START, startWriting } from '../../../support/segment-writing.ts';

/** Pieces as a stream brings them: of any length, some longer than a segment would be from there on. */
function appendInPieces(writer: SegmentWriter, bytes: Buffer, lengths: readonly number[]): void {
  let at = 0;
  for (const length of lengths) {
    writer.append(bytes.subarray(at, at + length));
    at += length;
  }
  writer.append(bytes.subarray(at));
}

/** Whether whoever has the file open here waits for the disk with each write. */
function isSynchronous(path: string): boolean {
  const descriptors = readdirSync('/proc/self/fd').filter((fd) => linkOf(`/proc/self/fd/${fd}`) === path);
  const flags = descriptors.map(
    (fd) => /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1],
  );
  return flags.length > 0 && flags.every((octal) => (parseInt(octal ?? '0', 8) & constants.O_DSYNC) !== 0);
}

/** Undefined of a descriptor that was closed meanwhile, such as that of the listing. */
function linkOf(path: string): string | undefined {
  return existsSync(path) ? readlinkSync(path) : undefined;
}

describe('writing received WAL', () => {
  const wal = randomBytes(2.5 * SIZE);

  it('makes the segments of any pieces, whole ones among those that wait', async () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 400_000 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(lengths, async (pieces) => {
        const { spool, writer, flushed, finished } = await startWriting();
        appendInPieces(writer, wal, pieces);
        await writer.drained();
        await writer.close();
        expect(finished).toEqual([FIFTH, SIXTH]);
        expect(await spool.finished()).toEqual([FIFTH, SIXTH]);
        const parts = [spool.finishedPath(FIFTH), spool.finishedPath(SIXTH), spool.partialPath(SEVENTH)];
        expect(Buffer.concat(parts.map((path) => readFileSync(path))).equals(wal)).toBe(true);
        expect(flushed.at(-1)).toBe(START + BigInt(wal.length));
        expect([...flushed].sort((a, b) => (a < b ? -1 : 1))).toEqual(flushed);
      }),
      { numRuns: 15 },
    );
  });
  const SEVENTH = '000000010000000000000007' as WalFileName;

  it('says that a segment is finished before it says that its end is safe, when it stands there already', async () => {
    const spool = new ReceiveSpool(newDirectory('spool'));
    await spool.open();
    const told: string[] = [];
    const writer = new SegmentWriter(
      { spool, timeline: 1 as TimelineId, segmentBytes: SIZE, start: START },
      {
        flushed: () => told.push('flushed'),
        finished: (name) => told.push(...readdirSync(join(spool.directory, 'done')), name),
        differed: () => undefined,
        failed: () => undefined,
      },
    );
    writer.append(wal.subarray(0, SIZE));
    await writer.drained();
    expect(told).toEqual([FIFTH, FIFTH, 'flushed']);
    await writer.close();
  });

  it('begins a segment that was cut off anew, and cuts nothing off before the same bytes have come', async () => {
    const { spool, writer, kept } = await startWriting();
    writeFileSync(spool.partialPath(FIFTH), wal.subarray(0, 300_000));
    writer.append(wal.subarray(0, 100_000));
    await writer.drained();
    await writer.close();
    expect(readFileSync(spool.partialPath(FIFTH)).equals(wal.subarray(0, 300_000))).toBe(true);
    expect(writer.flushed).toBe(START + 100_000n);
    expect(kept).toEqual([]);
  });

  it('lets what an earlier session left be used as long as the same bytes come, and no more than is safe', async () => {
    const { spool, writer } = await startWriting();
    writeFileSync(spool.partialPath(FIFTH), wal.subarray(0, 300_000));
    // Nothing was taken yet: whoever reads the file gets what is there.
    expect(writer.usableBytes(FIFTH)).toBeUndefined();
    writer.append(wal.subarray(0, 100_000));
    await writer.drained();
    expect(writer.usableBytes(FIFTH)).toBe(300_000);
    writer.append(wal.subarray(100_000, 400_000));
    await writer.drained();
    expect(writer.usableBytes(FIFTH)).toBe(400_000);
    expect(writer.usableBytes(SIXTH)).toBeUndefined();
    writer.append(wal.subarray(400_000, SIZE + 10));
    await writer.drained();
    expect(writer.usableBytes(FIFTH)).toBeUndefined();
    expect(writer.usableBytes(SIXTH)).toBe(10);
    await writer.close();
  });

  it('leaves nothing of an earlier session behind other bytes, which it would seem to follow', async () => {
    const { spool, writer, kept } = await startWriting();
    const old = Buffer.from(wal.subarray(0, 300_000));
    old[150_000] = (old[150_000] ?? 0) ^ 1;
    writeFileSync(spool.partialPath(FIFTH), old);
    writer.append(wal.subarray(0, 100_000));
    await writer.drained();
    expect(writer.usableBytes(FIFTH)).toBe(300_000);
    writer.append(wal.subarray(100_000, 200_000));
    await writer.drained();
    expect(writer.usableBytes(FIFTH)).toBe(200_000);
    await writer.close();
    expect(readFileSync(spool.partialPath(FIFTH)).equals(wal.subarray(0, 200_000))).toBe(true);
    expect(readFileSync(kept[0]!).equals(old)).toBe(true);
  });

  it('never loses what is the same before other bytes: it may have been acknowledged', async () => {
    const spy = await spyOnWritev();
    try {
      const { spool, writer, failures } = await startWriting();
      const old = Buffer.from(wal.subarray(0, 300_000));
      old[150_000] = (old[150_000] ?? 0) ^ 1;
      writeFileSync(spool.partialPath(FIFTH), old);
      // As if the host had died between.
      spy.mockRejectedValueOnce(fsyncError());
      writer.append(wal.subarray(0, 200_000));
      await writer.drained().catch(() => undefined);
      expect(failures).toHaveLength(1);
      await writer.close().catch(() => undefined);
      expect(readFileSync(spool.partialPath(FIFTH)).equals(wal.subarray(0, 150_000))).toBe(true);
    } finally {
      spy.mockRestore();
    }
  });

  it('keeps a copy of what is there when other bytes come', async () => {
    const { spool, writer, kept } = await startWriting();
    const old = Buffer.from(wal.subarray(0, 300_000));
    old[250_000] = (old[250_000] ?? 0) ^ 1;
    writeFileSync(spool.partialPath(FIFTH), old);
    writer.append(wal.subarray(0, 200_000));
    await writer.drained();
    expect(kept).toEqual([]);
    writer.append(wal.subarray(200_000, 400_000));
    writer.append(wal.subarray(400_000, SIZE));
    await writer.drained();
    expect(kept).toEqual([join(spool.directory, 'kept', `${FIFTH}.partial.1`)]);
    expect(readFileSync(kept[0]!).equals(old)).toBe(true);
    expect(readFileSync(spool.finishedPath(FIFTH)).equals(wal.subarray(0, SIZE))).toBe(true);
    await writer.close();
  });

  it('says that bytes are safe when they are on the disk, and writes at once what gathered meanwhile', async () => {
    const spy = await spyOnWritev();
    try {
      const { spool, writer, flushed } = await startWriting();
      let end = (): void => undefined;
      const begun = new Promise<void>((resolve) => {
        spy.mockImplementationOnce(async (pieces) => {
          resolve();
          await new Promise<void>((ended) => (end = ended));
          return { bytesWritten: pieces.reduce((sum, { byteLength }) => sum + byteLength, 0), buffers: [...pieces] };
        });
      });
      writer.append(wal.subarray(0, 1000));
      await begun;
      for (let at = 1000; at < 5000; at += 1000) writer.append(wal.subarray(at, at + 1000));
      expect(writer.written).toBe(START);
      expect(flushed).toEqual([]);
      end();
      await writer.drained();
      expect(flushed).toEqual([START + 1000n, START + 5000n]);
      expect(spy).toHaveBeenCalledTimes(2);
      expect(isSynchronous(spool.partialPath(FIFTH))).toBe(true);
      await writer.close();
    } finally {
      spy.mockRestore();
    }
  });

  it('waits for what usually comes next, and writes it together with what is there', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const spy = await spyOnWritev();
    try {
      const { spool, writer, flushed } = await startWriting();
      // Twice the second one comes while the first is written, to a slow disk.
      for (const at of [0, 2000]) {
        spy.mockImplementationOnce((pieces) => {
          writer.append(wal.subarray(at + 1000, at + 2000));
          vi.advanceTimersByTime(100);
          const bytesWritten = pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
          return Promise.resolve({ bytesWritten, buffers: [...pieces] });
        });
        writer.append(wal.subarray(at, at + 1000));
        await writer.drained();
      }
      expect(spy).toHaveBeenCalledTimes(4);
      spy.mockClear();
      writer.append(wal.subarray(4000, 5000));
      for (let i = 0; i < 3; i += 1) await setImmediate();
      expect(spy).not.toHaveBeenCalled();
      writer.append(wal.subarray(5000, 6000));
      await writer.drained();
      expect(flushed.at(-1)).toBe(START + 6000n);
      expect(spy).toHaveBeenCalledTimes(1);
      // When nothing comes it is written all the same, without anybody's doing.
      writer.append(wal.subarray(6000, 7000));
      for (let i = 0; i < 3; i += 1) await setImmediate();
      expect(spy).toHaveBeenCalledTimes(1);
      await vi.advanceTimersByTimeAsync(20);
      await writer.drained();
      expect(flushed.at(-1)).toBe(START + 7000n);
      await writer.close();
      expect(readFileSync(spool.partialPath(FIFTH)).subarray(4000).equals(wal.subarray(4000, 7000))).toBe(true);
    } finally {
      spy.mockRestore();
      vi.useRealTimers();
    }
  });

  it('believes nothing after a write that failed, but writes everything anew', async () => {
    const spy = await spyOnWritev();
    const directory = newDirectory('spool');
    try {
      const first = await startWriting(directory);
      first.writer.append(wal.subarray(0, 1000));
      await first.writer.drained();
      spy.mockImplementationOnce(() => Promise.reject(fsyncError()));
      first.writer.append(wal.subarray(1000, 3000));
      await expect(first.writer.drained()).rejects.toMatchObject({ code: 'LOCAL_IO' });
      await first.writer.close();
      expect(first.flushed).toEqual([START + 1000n]);
      spy.mockClear();
      const second = await startWriting(directory);
      second.writer.append(wal.subarray(0, 3000));
      await second.writer.drained();
      const writes = spy.mock.calls.map(([pieces, position]) => ({
        bytes: Buffer.concat(pieces as Buffer[]),
        position,
      }));
      expect(writes.map(({ position }) => position)).toEqual([0]);
      expect(writes[0]?.bytes.subarray(0, 3000).equals(wal.subarray(0, 3000))).toBe(true);
      expect(second.flushed).toEqual([START + 3000n]);
      expect(second.kept).toEqual([]);
      await second.writer.close();
    } finally {
      spy.mockRestore();
    }
  });

  it('lets the file grow ahead of small pieces by zeros, and leaves none behind', async () => {
    const { spool, writer } = await startWriting();
    writer.append(wal.subarray(0, 1000));
    await writer.drained();
    const grown = readFileSync(spool.partialPath(FIFTH));
    expect(grown.subarray(0, 1000).equals(wal.subarray(0, 1000))).toBe(true);
    expect(grown.subarray(1000).equals(Buffer.alloc(SIZE - 1000))).toBe(true);
    expect(writer.usableBytes(FIFTH)).toBe(1000);
    writer.append(wal.subarray(1000, 5000));
    await writer.drained();
    await writer.close();
    expect(readFileSync(spool.partialPath(FIFTH)).equals(wal.subarray(0, 5000))).toBe(true);
  });

  it('takes zeros that a killed service had written ahead for no difference', async () => {
    const { spool, writer, kept } = await startWriting();
    writeFileSync(spool.partialPath(FIFTH), Buffer.concat([wal.subarray(0, 2000), Buffer.alloc(SIZE - 2000)]));
    writer.append(wal.subarray(0, 1000));
    await writer.drained();
    expect(writer.syncedBytes(FIFTH)).toBe(1000);
    writer.append(wal.subarray(1000, 3000));
    await writer.drained();
    expect(writer.syncedBytes(FIFTH)).toBe(3000);
    await writer.close();
    expect(kept).toEqual([]);
    const left = readFileSync(spool.partialPath(FIFTH));
    expect(left.subarray(0, 3000).equals(wal.subarray(0, 3000))).toBe(true);
    expect(left.subarray(3000).every((byte) => byte === 0)).toBe(true);
  });

  it('never cuts off zeros that it found: a commit record ends with one, and may have been acknowledged', async () => {
    const { spool, writer } = await startWriting();
    const old = Buffer.concat([wal.subarray(0, 300_000), Buffer.alloc(8)]);
    writeFileSync(spool.partialPath(FIFTH), old);
    writer.append(wal.subarray(0, 100_000));
    await writer.drained();
    expect(writer.usableBytes(FIFTH)).toBe(old.length);
    await writer.close();
    expect(readFileSync(spool.partialPath(FIFTH)).equals(old)).toBe(true);
  });

  it('a disk that refuses ends it: what was not written is never said to be safe', async () => {
    const { spool, writer, flushed, failures } = await startWriting();
    writer.append(wal.subarray(0, 1000));
    await writer.drained();
    // Its place is taken by something that no segment can be moved onto.
    rmSync(join(spool.directory, 'done'), { recursive: true });
    writeFileSync(join(spool.directory, 'done'), '');
    writer.append(wal.subarray(1000, SIZE + 500));
    await expect(writer.drained()).rejects.toMatchObject({ code: 'LOCAL_IO' });
    writer.append(wal.subarray(SIZE + 500, SIZE + 600));
    await expect(writer.drained()).rejects.toMatchObject({ code: 'LOCAL_IO' });
    await writer.close();
    expect(failures.map((error) => isWaldenError(error, 'LOCAL_IO'))).toEqual([true]);
    expect(flushed).toEqual([START + 1000n]);
    expect(writer.flushed).toBe(START + 1000n);
  });
});

describe('the spool of the receiver', () => {
  it('tells its whole files and its partial ones apart, and sweeps what was staged', async () => {
    const { spool } = await startWriting();
    await spool.store('00000002.history' as WalFileName, Buffer.from('1\t0/5000000\tno reason\n'));
    writeFileSync(spool.partialPath(SIXTH), 'bytes');
    writeFileSync(spool.finishedPath(FIFTH), 'bytes');
    writeFileSync(join(spool.directory, 'done', '.00000003.history'), 'torn');
    await spool.open();
    expect(await spool.finished()).toEqual(['000000010000000000000005', '00000002.history']);
    expect(await spool.partials()).toEqual([{ segment: SIXTH, bytes: 5 }]);
    expect(readdirSync(join(spool.directory, 'done'))).not.toContain('.00000003.history');
  });

  it('can be listed while segments are finished', async () => {
    const { spool } = await startWriting();
    for (let round = 0; round < 200; round += 1) {
      writeFileSync(spool.partialPath(FIFTH), 'bytes');
      const [listed] = await Promise.all([spool.partials(), spool.finish(FIFTH)]);
      expect([[], [{ segment: FIFTH, bytes: 5 }]]).toContainEqual(listed);
      expect(await spool.hasPartial(FIFTH)).toBe(false);
    }
  });

  it('keeps a whole segment that waits when it comes once more', async () => {
    const { spool } = await startWriting();
    await spool.store(FIFTH, Buffer.from('bytes'));
    writeFileSync(spool.partialPath(FIFTH), 'bytes');
    await spool.finish(FIFTH);
    expect([await spool.finished(), await spool.partials()]).toEqual([[FIFTH], []]);
    writeFileSync(spool.partialPath(FIFTH), 'other');
    await expect(spool.finish(FIFTH)).rejects.toMatchObject({ code: 'ARCHIVE_DUPLICATE' });
    expect(readFileSync(spool.finishedPath(FIFTH), 'utf8')).toBe('bytes');
    expect(readFileSync(spool.partialPath(FIFTH), 'utf8')).toBe('other');
  });

  it('never writes over what is kept', async () => {
    const { spool } = await startWriting();
    const kept: string[] = [];
    for (const text of ['one', 'two']) {
      writeFileSync(spool.partialPath(FIFTH), text);
      kept.push(await spool.keep(FIFTH));
    }
    expect(kept.map((path) => readFileSync(path, 'utf8'))).toEqual(['one', 'two']);
    expect(await spool.partials()).toEqual([]);
  });

  it('a file that has no name of WAL is told, not passed over', async () => {
    const { spool } = await startWriting();
    mkdirSync(join(spool.directory, 'done', 'notes'));
    await expect(spool.finished()).rejects.toMatchObject({ code: 'FORMAT_INVALID' });
  });
});
