import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { WaldenError } from '../../../../src/errors.ts';
import type { Clock } from '../../../../src/platform/clock.ts';
import { segmentBytes, type WalFileName } from '../../../../src/postgres/wal-name.ts';
import type { WalFileSource } from '../../../../src/wal/file-source.ts';
import { ReceivedFiles } from '../../../../src/wal/receive/received-files.ts';
import { ReceiveSpool } from '../../../../src/wal/receive/receive-spool.ts';
import { newDirectory } from '../../../support/sandbox.ts';
import { until } from '../../../support/until.ts';

const SIZE = segmentBytes(1 << 20);
const AWAY = new WaldenError('STORAGE_UNAVAILABLE', 'the repository is away');

function nameOf(segment: number): WalFileName {
  return `0000000100000000000000${segment.toString(16).padStart(2, '0').toUpperCase()}` as WalFileName;
}

function startOf(segment: number): bigint {
  return BigInt(segment) * BigInt(SIZE);
}

/** Time passes only when it is told to. */
class HeldClock implements Clock {
  #sleepers: { readonly milliseconds: number; readonly wake: () => void }[] = [];

  now(): Date {
    return new Date(0);
  }

  sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#sleepers.push({ milliseconds, wake: resolve });
      const end = (): void => {
        reject(signal?.reason as Error);
      };
      if (signal?.aborted === true) end();
      signal?.addEventListener('abort', end);
    });
  }

  pass(): void {
    for (const { wake } of this.#sleepers.splice(0)) wake();
  }
}

/** Repositories that answer when they are told to, and remember what they were given. */
class Repositories {
  readonly #asked: { readonly file: WalFileName; readonly answer: (error?: Error) => void }[] = [];
  readonly given: { readonly file: WalFileName; readonly source: WalFileSource }[] = [];

  readonly archive = (file: WalFileName, source: WalFileSource): Promise<void> => {
    this.given.push({ file, source });
    return new Promise((resolve, reject) => {
      this.#asked.push({
        file,
        answer: (error) => {
          if (error === undefined) resolve();
          else reject(error);
        },
      });
    });
  };

  async answer(file: WalFileName, error?: Error): Promise<void> {
    const isAsked = (): boolean => this.#asked.some((asked) => asked.file === file);
    await until(isAsked, { what: `${file} to be archived` });
    const [asked] = this.#asked.splice(
      this.#asked.findIndex((one) => one.file === file),
      1,
    );
    asked?.answer(error);
  }
}

async function setUp(): Promise<{
  files: ReceivedFiles;
  spool: ReceiveSpool;
  repositories: Repositories;
  clock: HeldClock;
  seen: { readonly failed: WalFileName[]; readonly lost: WalFileName[]; moved: number };
}> {
  const spool = new ReceiveSpool(newDirectory('spool'));
  await spool.open();
  const [repositories, clock] = [new Repositories(), new HeldClock()];
  const seen = { failed: [] as WalFileName[], lost: [] as WalFileName[], moved: 0 };
  const files = new ReceivedFiles({
    ...{ spool, clock, segmentBytes: SIZE, archive: repositories.archive },
    moved: () => (seen.moved += 1),
    failed: (file) => seen.failed.push(file),
    lost: (file) => seen.lost.push(file),
  });
  return { files, spool, repositories, clock, seen };
}

async function gathered(files: ReceivedFiles, segment: number): Promise<Buffer> {
  const room = await files.room();
  if (room === undefined) throw new Error('there is no room');
  const content = Buffer.from(room).fill(segment);
  files.addFromMemory(nameOf(segment), content);
  return content;
}

describe('a segment that was received into memory', () => {
  it('goes to the repositories from there, and the disk sees nothing of it', async () => {
    const { files, spool, repositories } = await setUp();
    const content = await gathered(files, 5);
    expect(files.firstUnsafeStart).toBe(startOf(5));
    expect(files.firstStart).toBe(startOf(5));
    await repositories.answer(nameOf(5));
    await until(() => files.count === 0, { what: 'the segment to be stored' });
    expect(repositories.given.map(({ source }) => source === content)).toEqual([true]);
    expect(files.firstUnsafeStart).toBe(undefined);
    expect(await spool.finished()).toEqual([]);
  });

  it('comes into the spool when the repositories are slow, and leaves it when they have it', async () => {
    const { files, spool, repositories, clock, seen } = await setUp();
    await gathered(files, 5);
    clock.pass();
    await files.settled();
    expect(readFileSync(spool.finishedPath(nameOf(5))).equals(Buffer.alloc(SIZE, 5))).toBe(true);
    expect([files.firstUnsafeStart, files.firstStart]).toEqual([undefined, startOf(5)]);
    expect(seen.moved).toBe(1);
    await repositories.answer(nameOf(5));
    // Which finds that it is there.
    await repositories.answer(nameOf(5));
    await until(() => files.count === 0, { what: 'the segment to be stored' });
    expect(await spool.finished()).toEqual([]);
  });

  it('comes into the spool when the repositories refuse it, and is sent from there', async () => {
    const { files, spool, repositories, clock, seen } = await setUp();
    await gathered(files, 5);
    await repositories.answer(nameOf(5), AWAY);
    await files.settled();
    expect(await spool.finished()).toEqual([nameOf(5)]);
    await repositories.answer(nameOf(5), AWAY);
    await until(() => seen.failed.length === 2, { what: 'the second failure' });
    clock.pass();
    await repositories.answer(nameOf(5));
    await until(() => files.count === 0, { what: 'the segment to be stored' });
    expect(repositories.given.slice(1).map(({ source }) => source)).toEqual(
      Array(2).fill(spool.finishedPath(nameOf(5))),
    );
    expect(await spool.finished()).toEqual([]);
  });

  it('that neither takes is lost, and nothing behind it counts as safe until it is received once more', async () => {
    const { files, spool, repositories, seen } = await setUp();
    await gathered(files, 5);
    await gathered(files, 6);
    rmSync(join(spool.directory, 'done'), { recursive: true });
    writeFileSync(join(spool.directory, 'done'), 'no directory');
    await repositories.answer(nameOf(5), AWAY);
    await repositories.answer(nameOf(6));
    await until(() => seen.lost.length > 0 && files.count === 1, { what: 'the loss to be told' });
    expect(seen.lost).toEqual([nameOf(5)]);
    expect([files.firstUnsafeStart, files.firstStart]).toEqual([startOf(5), startOf(5)]);
    files.forgetLost();
    expect(files.firstUnsafeStart).toBe(undefined);
    rmSync(join(spool.directory, 'done'));
    await spool.open();
    await gathered(files, 5);
    await repositories.answer(nameOf(5));
    await until(() => files.count === 0, { what: 'the segment to be stored' });
  });

  it('whose way ends with the service leaves nothing, and was never told to be safe', async () => {
    const { files, spool, repositories, seen } = await setUp();
    await gathered(files, 5);
    const stopped = files.stop();
    await repositories.answer(nameOf(5), new WaldenError('INTERRUPTED', 'the service is stopping'));
    await stopped;
    expect(seen).toEqual({ failed: [], lost: [], moved: 0 });
    expect(existsSync(spool.finishedPath(nameOf(5)))).toBe(false);
    expect(files.firstUnsafeStart).toBe(startOf(5));
  });
});

it('a file of the spool is where it is safe, however long the repositories are away', async () => {
  const { files, spool, repositories, seen } = await setUp();
  await spool.store(nameOf(5), Buffer.alloc(SIZE));
  files.add(nameOf(5));
  await files.settled();
  await repositories.answer(nameOf(5), AWAY);
  await until(() => seen.failed.length === 1, { what: 'the failure' });
  await files.settled();
  expect([files.count, files.firstUnsafeStart, files.firstStart]).toEqual([1, undefined, startOf(5)]);
});

it('what comes after the stop goes nowhere, and nothing behind it counts as safe', async () => {
  const { files, spool, repositories } = await setUp();
  const room = await files.room();
  await files.stop();
  files.addFromMemory(nameOf(5), Buffer.from(room!));
  expect([files.firstUnsafeStart, files.firstStart]).toEqual([startOf(5), startOf(5)]);
  await spool.store(nameOf(4), Buffer.alloc(SIZE));
  files.add(nameOf(4));
  expect([files.firstUnsafeStart, files.firstStart]).toEqual([startOf(5), startOf(4)]);
  await files.stop();
  expect(repositories.given).toEqual([]);
  expect(await spool.finished()).toEqual([nameOf(4)]);
});

describe('memory for segments', () => {
  it('is there for a few at a time; the next one waits, and goes through the spool when that does not help', async () => {
    const { files, repositories, clock } = await setUp();
    for (const segment of [1, 2, 3, 4]) await gathered(files, segment);
    const next = files.room();
    await repositories.answer(nameOf(2));
    expect(await next).toBeInstanceOf(SharedArrayBuffer);
    await until(() => files.count === 3, { what: 'the second one to be stored' });
    await gathered(files, 5);
    const later = files.room();
    clock.pass();
    expect(await later).toBe(undefined);
    // Nobody waits again until it is better.
    expect(await files.room()).toBe(undefined);
    // From memory, and from the spool, where it has come meanwhile.
    await repositories.answer(nameOf(1));
    await repositories.answer(nameOf(1));
    await until(() => files.count === 3, { what: 'the first one to be stored' });
    expect(await files.room()).toBeInstanceOf(SharedArrayBuffer);
  });

  it('is used again', async () => {
    const { files, repositories } = await setUp();
    const first = await gathered(files, 1);
    await repositories.answer(nameOf(1));
    await until(() => files.count === 0, { what: 'the segment to be stored' });
    expect(await files.room()).toBe(first.buffer);
  });
});
