import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { WaldenError } from '../../../src/errors.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { parseWalName } from '../../../src/postgres/wal-name.ts';
import { walKey } from '../../../src/repository/keys.ts';
import { repositoryName } from '../../../src/repository/names.ts';
import type { Repository } from '../../../src/repository/repository.ts';
import { WalPusher } from '../../../src/wal/push.ts';
import { openWalObject } from '../../../src/wal/open-object.ts';
import { type Fault, FaultyDriver } from '../../../storage-drivers/faulty/faulty-driver.ts';
import type { ObjectKey, StorageDriver } from '../../../storage-drivers/driver.ts';
import { MemoryDriver } from '../../../storage-drivers/memory/memory-driver.ts';
import { driverWithRetries } from '../../../storage-drivers/with-retry.ts';
import { bodyOf, collect } from '../../support/bodies.ts';
import { stubDriver } from '../../support/stub-driver.ts';
import { until } from '../../support/until.ts';
import {
  beginServerRun,
  buildSegment,
  createWalPool,
  MAIN,
  openLocalRepository,
  setUpWal,
  type WalSetup,
} from '../../support/wal-setup.ts';

const pool = createWalPool();
afterAll(() => pool.close());

let repository: Repository;
let setup: WalSetup;
beforeEach(async () => {
  repository = await openLocalRepository('local');
  setup = await setUpWal(pool, [repository]);
});

function pusher(context = setup.context): WalPusher {
  return new WalPusher(context, { dataDirectory: setup.dataDirectory, spool: setup.spool });
}

function faulty(fault: Fault, inner = repository): Repository {
  return { name: inner.name, driver: new FaultyDriver(inner.driver, fault) };
}

async function isStored(name: string, where = repository): Promise<boolean> {
  const file = parseWalName(name);
  try {
    await openWalObject(setup.context, where, file, undefined);
    return (await setup.catalog.walFile(where.name, MAIN, file.name)) !== undefined;
  } catch {
    // Not there, or not whole: not stored.
    return false;
  }
}

describe('pushing a segment', () => {
  it('archives every other ready segment ahead, and acknowledges each in the spool', async () => {
    const names = Array.from({ length: 12 }, (_, index) => setup.segment(BigInt(index + 3)));
    await pusher().push(names[0]!);
    await until(() => setup.acknowledged().length === 12, { what: 'all acknowledgements' });
    for (const name of names) expect(await isStored(name)).toBe(true);
    expect(readdirSync(setup.context.stagingDirectory)).toEqual([]);
  });

  it('records what the segment holds', async () => {
    const name = setup.segment(5n);
    await pusher().push(name);
    const record = await setup.catalog.walFile(repository.name, MAIN, name);
    expect(record).toMatchObject({ kind: 'segment', timeline: 1, segment: 5n, plainBytes: 1 << 20 });
    expect(record!.index).toMatchObject({ commits: 1, firstXid: 1005, lastXid: 1005 });
  });

  it('keeps its own acknowledgement when the scan for more comes late', async () => {
    const name = setup.segment(5n);
    const { spool } = setup;
    const forget = spool.forgetAcknowledgements.bind(spool);
    spool.forgetAcknowledgements = async (unwanted) => {
      await until(() => isStored(name), { what: 'the segment to be stored' });
      // As long as an acknowledgement may take that does not wait.
      for (let turn = 0; turn < 200; turn += 1) await setImmediate();
      await forget(unwanted);
    };
    await pusher().push(name);
    expect(setup.acknowledged()).toEqual([`${name}.ok`]);
  });

  it('forgets acknowledgements of files that PostgreSQL no longer asks about', async () => {
    const run = beginServerRun(setup.dataDirectory);
    await setup.spool.acknowledge(parseWalName('0000000100000000000000FF').name, run);
    const name = setup.segment(5n);
    await pusher().push(name);
    await until(() => setup.acknowledged().join() === `${name}.ok`, {
      what: 'the old acknowledgement to go',
    });
  });

  it('tells the error of a segment only when PostgreSQL asks for that one, and again each time', async () => {
    const good = setup.segment(3n);
    const bad = setup.segment(4n);
    writeFileSync(join(setup.dataDirectory, 'pg_wal', bad), Buffer.alloc(1 << 20));
    const wal = pusher();
    await wal.push(good);
    for (let attempt = 1; attempt <= 2; attempt += 1) {
      await expect(wal.push(bad)).rejects.toMatchObject({
        code: 'FORMAT_INVALID',
        message: expect.stringContaining(`unable to archive ${bad}`) as string,
      });
    }
    expect((await setup.catalog.refusals(MAIN)).map(({ name }) => name)).toEqual([bad]);
    expect(setup.acknowledged()).toEqual([`${good}.ok`]);
    writeFileSync(join(setup.dataDirectory, 'pg_wal', bad), buildSegment(4n));
    await wal.push(bad);
    expect(await setup.catalog.refusals(MAIN)).toEqual([]);
  });

  it('takes the same bytes again, and refuses other bytes without touching what is stored', async () => {
    const name = setup.segment(5n);
    const wal = pusher();
    await wal.push(name);
    await wal.push(name);
    const path = join(setup.dataDirectory, 'pg_wal', name);
    const first = readFileSync(path);
    writeFileSync(path, buildSegment(5n, 1, 2000));
    await expect(wal.push(name)).rejects.toMatchObject({ code: 'ARCHIVE_DUPLICATE' });
    writeFileSync(path, first);
    await wal.push(name);
  });

  it('settles an object that the catalog does not know by reading it', async () => {
    const name = setup.segment(5n);
    await pusher().push(name);
    await setup.catalog.forgetWalFile(repository.name, MAIN, parseWalName(name).name);
    const before = await repository.driver.stat(walKey(MAIN, parseWalName(name)));
    await pusher().push(name);
    expect(await isStored(name)).toBe(true);
    expect(await repository.driver.stat(walKey(MAIN, parseWalName(name)))).toEqual(before);

    await setup.catalog.forgetWalFile(repository.name, MAIN, parseWalName(name).name);
    writeFileSync(join(setup.dataDirectory, 'pg_wal', name), buildSegment(5n, 1, 2000));
    await expect(pusher().push(name)).rejects.toMatchObject({ code: 'ARCHIVE_DUPLICATE' });
  });

  it('stores an object again that somebody removed from the repository', async () => {
    const name = setup.segment(5n);
    await pusher().push(name);
    await repository.driver.remove(walKey(MAIN, parseWalName(name)));
    await pusher().push(name);
    expect(await isStored(name)).toBe(true);
  });

  it('refuses what waits once it is stopped, and finishes what runs', async () => {
    const names = Array.from({ length: 10 }, (_, index) => setup.segment(BigInt(index + 3)));
    const wal = pusher();
    const asked = Promise.allSettled(names.map((name) => wal.push(name)));
    await wal.stop();
    for (const [index, outcome] of (await asked).entries()) {
      if (outcome.status === 'fulfilled') expect(await isStored(names[index]!)).toBe(true);
      else expect(outcome.reason).toMatchObject({ code: 'INTERRUPTED' });
    }
    await expect(wal.push(names[0]!)).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });
});

describe('pushing into a store that fails', () => {
  const moments = ['before', 'after'] as const;
  it.each(moments)(
    'acknowledges nothing that fails (%s the effect), and completes it the next time',
    async (moment) => {
      const name = setup.segment(5n);
      const broken = faulty({ kind: 'mutation', at: 1, moment, lasting: true });
      await expect(pusher(setup.withRepositories([broken])).push(name)).rejects.toMatchObject({
        code: 'STORAGE_UNAVAILABLE',
      });
      expect(setup.acknowledged()).toEqual([]);
      await pusher().push(name);
      expect(setup.acknowledged()).toEqual([`${name}.ok`]);
      expect(await isStored(name)).toBe(true);
    },
  );

  it('never takes a store that cannot be asked for one that has nothing', async () => {
    const name = setup.segment(5n);
    await pusher().push(name);
    const broken = faulty({ kind: 'read', at: 1, moment: 'before', lasting: true });
    await expect(pusher(setup.withRepositories([broken])).push(name)).rejects.toMatchObject({
      code: 'STORAGE_UNAVAILABLE',
    });
  });

  it('acknowledges only what is durable in every repository, and then completes the one that lacked it', async () => {
    const second = await openLocalRepository('second');
    const name = setup.segment(5n);
    const full = new WaldenError('STORAGE_FULL', 'no space');
    const broken = faulty({ kind: 'mutation', at: 1, moment: 'before', lasting: true, error: full }, second);
    await expect(pusher(setup.withRepositories([repository, broken])).push(name)).rejects.toMatchObject({
      code: 'STORAGE_FULL',
    });
    expect(await isStored(name)).toBe(true);
    expect(setup.acknowledged()).toEqual([]);
    await pusher(setup.withRepositories([repository, second])).push(name);
    expect(await isStored(name, second)).toBe(true);
    expect(setup.acknowledged()).toEqual([`${name}.ok`]);
  });
});

describe('pushing into a store without files', () => {
  const remote = (driver: StorageDriver = new MemoryDriver()): Repository => ({ name: repositoryName('far'), driver });
  const at = (name: string): ObjectKey => walKey(MAIN, parseWalName(name));

  it('stores the same bytes as one that links them, and stages nothing', async () => {
    const clock = { ...systemClock, now: () => new Date('2026-01-02T03:04:05Z') };
    const far = remote();
    const names = Array.from({ length: 12 }, (_, index) => setup.segment(BigInt(index + 3)));
    for (const where of [repository, far]) {
      const wal = pusher({ ...setup.withRepositories([where]), clock });
      await Promise.all(names.map((name) => wal.push(name)));
    }
    for (const name of names) {
      const [near, there] = [await repository.driver.get(at(name)), await far.driver.get(at(name))];
      expect(await collect(there)).toEqual(await collect(near));
    }
    expect(readdirSync(setup.context.stagingDirectory)).toEqual([]);
  });

  it('never lets what was given up send the bytes of another file', async () => {
    const memory = new MemoryDriver();
    const late = new Map<ObjectKey, Uint8Array>();
    // As a request on a connection that nobody waits for any more: it still sends from the memory that it was given.
    const losing: StorageDriver = {
      ...stubDriver(),
      put: async (key, body, options) => {
        const bytes = body.bytes?.() ?? Buffer.of();
        if (!late.has(key)) {
          late.set(key, bytes);
          throw new WaldenError('STORAGE_UNAVAILABLE', 'no answer');
        }
        await memory.put(key, bodyOf(bytes), options);
      },
      stat: (key, options) => memory.stat(key, options),
      get: (key, options) => memory.get(key, options),
    };
    const retries = { retries: 1, firstWaitMs: 0, longestWaitMs: 0 };
    const far = remote(driverWithRetries(losing, retries));
    const names = Array.from({ length: 12 }, (_, index) => setup.segment(BigInt(index + 3)));
    const wal = pusher(setup.withRepositories([far]));
    for (const name of names) await wal.push(name);
    expect(late.size).toBe(12);
    for (const [key, bytes] of late) expect(Buffer.from(bytes)).toEqual(await collect(await memory.get(key)));
  });
});
