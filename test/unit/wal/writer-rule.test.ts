import { copyFileSync, mkdirSync, readFileSync, realpathSync, renameSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { WalNode } from '../../../catalog/writers.ts';
import { parseWalName, type WalFileName } from '../../../src/postgres/wal-name.ts';
import { micros } from '../../../src/postgres/timestamp.ts';
import { timelineId } from '../../../src/postgres/lsn.ts';
import type { Repository } from '../../../src/repository/repository.ts';
import { WalPusher } from '../../../src/wal/push.ts';
import type { ToldNode } from '../../../src/wal/wal-node.ts';
import { FaultyDriver } from '../../../storage-drivers/faulty/faulty-driver.ts';
import { newDirectory } from '../../support/sandbox.ts';
import {
  buildSegment,
  createWalPool,
  MAIN,
  openLocalRepository,
  setUpWal,
  type WalSetup,
} from '../../support/wal-setup.ts';

const pool = createWalPool();
afterAll(() => pool.close());

const A: WalNode = { host: 'db1', dataDirectory: '/data' };
const B: WalNode = { host: 'db2', dataDirectory: '/copy' };

let repository: Repository;
let setup: WalSetup;
let wal: WalPusher;
beforeEach(async () => {
  repository = await openLocalRepository('local');
  setup = await setUpWal(pool, [repository]);
  wal = new WalPusher(setup.context, { dataDirectory: setup.dataDirectory, spool: setup.spool });
});

function told(node: WalNode, facts: Partial<ToldNode> = {}): ToldNode {
  return { node, inRecovery: false, newestTimeline: timelineId(1), ...facts };
}

/** Offers segment `number`, whose bytes depend on `bytes`, as the archive_command of a node does. */
async function offer(number: bigint, bearer: ToldNode | undefined, { bytes = 1000, timeline = 1, over = wal } = {}) {
  const path = join(newDirectory('offered'), 'file');
  writeFileSync(path, buildSegment(number, timeline, bytes));
  await over.pushFrom(nameOf(number, timeline), path, bearer);
}

function nameOf(number: bigint, timeline = 1): WalFileName {
  const hex = (part: bigint): string => part.toString(16).toUpperCase().padStart(8, '0');
  return `${hex(BigInt(timeline))}${hex(0n)}${hex(number)}` as WalFileName;
}

async function writers(): Promise<readonly (readonly [number, WalNode])[]> {
  return (await setup.catalog.writers.writers(MAIN)).map(({ timeline, node }) => [timeline, node] as const);
}

async function isKnown(number: bigint, timeline = 1): Promise<boolean> {
  return (await setup.catalog.walFile(repository.name, MAIN, nameOf(number, timeline))) !== undefined;
}

const own = (): WalNode => ({ host: hostname(), dataDirectory: realpathSync(setup.dataDirectory) });

describe('the writer of a timeline', () => {
  it('is the first that archives; another is refused by name before anything is stored', async () => {
    await offer(3n, told(A));
    expect(await writers()).toEqual([[1, A]]);
    await expect(offer(4n, told(B))).rejects.toMatchObject({
      code: 'SECOND_WRITER',
      message: `unable to archive ${nameOf(4n)}: timeline 1 of cluster main is written by db1:/data, and ${nameOf(4n)} comes from db2:/copy`,
      hint: expect.stringContaining('walden cluster writer main --timeline 1 --accept db2:/copy') as string,
      details: { timeline: 1, file: nameOf(4n), writer: A, second: B },
    });
    expect(await isKnown(4n)).toBe(false);
    await offer(4n, told(A));
    expect(await writers()).toEqual([[1, A]]);
  });

  it('is not who offers what is no WAL of the cluster', async () => {
    const path = join(newDirectory('offered'), 'file');
    writeFileSync(path, Buffer.alloc(1 << 20));
    await expect(wal.pushFrom(nameOf(3n), path, told(B))).rejects.toMatchObject({ code: 'FORMAT_INVALID' });
    expect(await writers()).toEqual([]);
    expect((await setup.catalog.refusals(MAIN)).map(({ name }) => name)).toEqual([nameOf(3n)]);
  });

  it('is one of two that begin at the same time', async () => {
    const outcomes = await Promise.allSettled([offer(3n, told(A)), offer(4n, told(B))]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(await isKnown(3n)).not.toBe(await isKnown(4n));
  });

  it('leaves others what is in the archive with the same bytes', async () => {
    await offer(3n, told(A));
    await offer(3n, told(B));
    expect(await setup.catalog.writers.secondWriters(MAIN, micros(0))).toEqual([]);
  });

  it('is not who is in recovery, or has left the timeline: they bring what another wrote', async () => {
    await offer(3n, told(A));
    await offer(4n, told(B, { inRecovery: true }));
    await offer(5n, told(B, { newestTimeline: timelineId(2) }));
    expect(await writers()).toEqual([[1, A]]);
    await offer(6n, told(B, { newestTimeline: timelineId(2) }), { timeline: 2 });
    expect(await writers()).toEqual([
      [1, A],
      [2, B],
    ]);
    await expect(offer(7n, told(A, { newestTimeline: timelineId(2) }), { timeline: 2 })).rejects.toMatchObject({
      code: 'SECOND_WRITER',
    });
  });

  it('is nobody new when an operator brings a file, or the receiver does', async () => {
    await offer(3n, undefined);
    expect(await writers()).toEqual([]);
    await offer(4n, told(A));
    await offer(5n, undefined);
    expect(await writers()).toEqual([[1, A]]);
  });

  it('is another once it is accepted, and the one before is refused', async () => {
    await offer(3n, told(A));
    await expect(offer(4n, told(B))).rejects.toMatchObject({ code: 'SECOND_WRITER' });
    await setup.catalog.writers.take({ cluster: MAIN, timeline: timelineId(1), node: B, since: micros(1) });
    await offer(4n, told(B));
    await expect(offer(5n, told(A))).rejects.toMatchObject({ code: 'SECOND_WRITER' });
  });
});

describe('the configured data directory', () => {
  it('takes its timeline over from whoever was first', async () => {
    await offer(3n, told(A));
    await wal.push(setup.segment(4n));
    expect(await writers()).toEqual([[1, own()]]);
    await expect(offer(5n, told(A))).rejects.toMatchObject({ code: 'SECOND_WRITER' });
  });

  it('takes nothing over while its server is in recovery, or brings what is of an older timeline', async () => {
    await offer(3n, told(A));
    writeFileSync(join(setup.dataDirectory, 'standby.signal'), '');
    await wal.push(setup.segment(4n));
    renameSync(join(setup.dataDirectory, 'standby.signal'), join(setup.dataDirectory, 'gone'));
    writeFileSync(join(setup.dataDirectory, 'pg_wal/00000002.history'), '1\t0/500000\tpromoted\n');
    const next = setup.segment(6n, { timeline: 2 });
    await wal.push(setup.segment(5n));
    await wal.push(next);
    expect(await writers()).toEqual([
      [1, A],
      [2, own()],
    ]);
  });

  it('is told who has stored other bytes than its own, and takes nothing over then', async () => {
    await offer(3n, told(A), { bytes: 2000 });
    await expect(wal.push(setup.segment(3n))).rejects.toMatchObject({
      code: 'ARCHIVE_DUPLICATE',
      message: expect.stringContaining(`written by db1:/data, these bytes come from ${own().host}:`) as string,
    });
    expect(await writers()).toEqual([[1, A]]);
    expect(await setup.catalog.writers.secondWriters(MAIN, micros(0))).toMatchObject([{ node: own() }]);
  });

  it('may be seen under another name of the host: its own bytes are taken', async () => {
    await wal.push(setup.segment(3n));
    const name = setup.segment(4n);
    const path = join(newDirectory('offered'), 'file');
    copyFileSync(join(setup.dataDirectory, 'pg_wal', name), path);
    await wal.pushFrom(name, path, told({ host: 'container', dataDirectory: '/var/lib/postgresql/data' }));
    expect(await isKnown(4n)).toBe(true);
    expect(await writers()).toEqual([[1, own()]]);
    expect(readFileSync(path).equals(buildSegment(4n))).toBe(true);
    await expect(offer(5n, told(B))).rejects.toMatchObject({ code: 'SECOND_WRITER' });
  });
});

describe('a second writer', () => {
  it('is recorded once, however much it offers, and beside the refusals of files', async () => {
    await offer(3n, told(A));
    for (const number of [4n, 5n, 6n, 4n]) {
      await expect(offer(number, told(B))).rejects.toMatchObject({ code: 'SECOND_WRITER' });
    }
    await expect(offer(3n, told(B), { bytes: 2000 })).rejects.toMatchObject({
      code: 'ARCHIVE_DUPLICATE',
      message: expect.stringContaining('timeline 1 is written by db1:/data, these bytes come from db2:/copy') as string,
    });
    const seconds = await setup.catalog.writers.secondWriters(MAIN, micros(0));
    expect(seconds).toMatchObject([{ node: B, file: nameOf(3n), attempts: 5, error: { code: 'ARCHIVE_DUPLICATE' } }]);
    expect(await setup.catalog.refusals(MAIN)).toEqual([]);
  });

  it('is one no more when something of it is taken', async () => {
    await offer(3n, told(A));
    await expect(offer(4n, told(B))).rejects.toMatchObject({ code: 'SECOND_WRITER' });
    await offer(4n, told(B, { inRecovery: true }));
    expect(await setup.catalog.writers.secondWriters(MAIN, micros(0))).toEqual([]);
  });

  it('is not the writer itself, which offers other bytes', async () => {
    await offer(3n, told(A));
    await expect(offer(3n, told(A), { bytes: 2000 })).rejects.toMatchObject({ code: 'ARCHIVE_DUPLICATE' });
    expect(await setup.catalog.writers.secondWriters(MAIN, micros(0))).toEqual([]);
    expect(await setup.catalog.refusals(MAIN)).toHaveLength(1);
  });
});

describe('a service that is killed while the writer archives', () => {
  it('before the object: the writer comes again, another is refused', async () => {
    const broken = new FaultyDriver(repository.driver, { kind: 'mutation', at: 1, moment: 'before', lasting: true });
    const context = setup.withRepositories([{ name: repository.name, driver: broken }]);
    const failing = new WalPusher(context, { dataDirectory: undefined, spool: setup.spool });
    await expect(offer(3n, told(A), { over: failing })).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    await expect(offer(3n, told(B), { bytes: 2000 })).rejects.toMatchObject({ code: 'SECOND_WRITER' });
    await offer(3n, told(A));
    expect(await isKnown(3n)).toBe(true);
  });

  it('between object and catalog: the same', async () => {
    await offer(3n, told(A));
    await setup.catalog.forgetWalFile(repository.name, MAIN, parseWalName(nameOf(3n)).name);
    await expect(offer(3n, told(B), { bytes: 2000 })).rejects.toMatchObject({ code: 'SECOND_WRITER' });
    await offer(3n, told(A));
    expect(await isKnown(3n)).toBe(true);
  });
});

describe('the history of a timeline', () => {
  async function offerHistory(node: WalNode, lsn: string): Promise<void> {
    const directory = newDirectory('offered');
    mkdirSync(directory, { recursive: true });
    const path = join(directory, 'file');
    writeFileSync(path, `1\t${lsn}\tno recovery target specified\n`);
    await wal.pushFrom('00000002.history', path, told(node, { newestTimeline: timelineId(2) }));
  }

  it('makes its node the writer; of another with the same history, the first segment is refused', async () => {
    await offerHistory(A, '0/300000');
    expect(await writers()).toEqual([[2, A]]);
    await offerHistory(B, '0/300000');
    const promoted = told(B, { newestTimeline: timelineId(2) });
    await expect(offer(3n, promoted, { timeline: 2 })).rejects.toMatchObject({ code: 'SECOND_WRITER' });
    await offer(3n, told(A, { newestTimeline: timelineId(2) }), { timeline: 2 });
  });

  it('is told by both names where two promotions have made different ones', async () => {
    await offerHistory(A, '0/300000');
    await expect(offerHistory(B, '0/300100')).rejects.toMatchObject({
      code: 'ARCHIVE_DUPLICATE',
      message: expect.stringContaining('timeline 2 is written by db1:/data, these bytes come from db2:/copy') as string,
    });
    expect(await setup.catalog.writers.secondWriters(MAIN, micros(0))).toMatchObject([{ node: B, timeline: 2 }]);
  });
});
