import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { historyName, parseWalName, type WalFileName } from '../../../src/postgres/wal-name.ts';
import { timelineId } from '../../../src/postgres/lsn.ts';
import type { Repository } from '../../../src/repository/repository.ts';
import { WalFetcher } from '../../../src/wal/fetch.ts';
import { storeWalFile } from '../../../src/wal/store.ts';
import { FaultyDriver } from '../../../storage-drivers/faulty/faulty-driver.ts';
import { newDirectory } from '../../support/sandbox.ts';
import { until } from '../../support/until.ts';
import {
  beginServerRun,
  createWalPool,
  openLocalRepository,
  setUpWal,
  type WalSetup,
} from '../../support/wal-setup.ts';

const BOOT = 'this one';
const pool = createWalPool();
afterAll(() => pool.close());

let repository: Repository;
let setup: WalSetup;
let fetcher: WalFetcher;
beforeEach(async () => {
  repository = await openLocalRepository('local');
  setup = await setUpWal(pool, [repository]);
  fetcher = new WalFetcher(setup.context, setup.spool);
});
afterEach(() => fetcher.stop());

async function archive(number: bigint, timeline = 1): Promise<WalFileName> {
  const name = setup.segment(number, { timeline });
  await storeWalFile(setup.context, parseWalName(name), join(setup.dataDirectory, 'pg_wal', name));
  return name;
}

async function prefetched(...names: readonly string[]): Promise<void> {
  const allThere = async (): Promise<boolean> => {
    const found = new Set(await setup.spool.prefetched());
    return names.every((name) => found.has(name));
  };
  await until(allThere, { what: `${names.join(', ')} in the spool` });
}

/** What walden-fetch does with a file in the spool. */
function take(name: WalFileName): Buffer {
  const target = join(newDirectory('taken'), name);
  renameSync(setup.spool.prefetchedPath(name), target);
  return readFileSync(target);
}

describe('fetching a segment', () => {
  it('leaves alone what other fetches are writing, and the next start sweeps it', async () => {
    const name = await archive(3n);
    const staged = setup.spool.stagedPath(parseWalName('000000010000000000000004').name);
    writeFileSync(staged, 'half of a segment');
    expect(await fetcher.fetch(name)).toBe('ready');
    expect(existsSync(staged)).toBe(true);
    await setup.spool.sweep();
    expect(existsSync(staged)).toBe(false);
    expect(await setup.spool.prefetched()).toContain(name);
  });

  it('brings its bytes, and the next ones after it', async () => {
    const names = [];
    for (let number = 3n; number <= 6n; number += 1n) names.push(await archive(number));
    expect(await fetcher.fetch(names[0]!)).toBe('ready');
    expect(take(names[0]!)).toEqual(readFileSync(join(setup.dataDirectory, 'pg_wal', names[0]!)));
    await prefetched(...names.slice(1));
  });

  it('goes on ahead as files are taken out of the spool, without being asked', async () => {
    const names: WalFileName[] = [];
    for (let number = 3n; number <= 22n; number += 1n) names.push(await archive(number));
    await fetcher.fetch(names[0]!);
    for (const name of names) {
      await prefetched(name);
      expect(take(name).length).toBe(1 << 20);
    }
  });

  it('reads ahead into the timeline that forks off', async () => {
    const old = [await archive(3n), await archive(4n)];
    const young = [await archive(4n, 2), await archive(5n, 2)];
    const history = historyName(timelineId(2));
    const path = join(setup.dataDirectory, 'pg_wal', history);
    writeFileSync(path, '1\t0/410000\tno recovery target specified\n');
    await storeWalFile(setup.context, parseWalName(history), path);
    await fetcher.fetch(old[0]!);
    await prefetched(...young);
    expect(await setup.spool.prefetched()).not.toContain(old[1]);
  });

  it('says that a file is absent only when every repository answered', async () => {
    const name = setup.segment(9n);
    expect(await fetcher.fetch(name)).toBe('absent');
    const broken = new FaultyDriver(repository.driver, { kind: 'read', at: 1, moment: 'before', lasting: true });
    const second = await openLocalRepository('second');
    const half = setup.withRepositories([{ name: repository.name, driver: broken }, second]);
    const other = new WalFetcher(half, setup.spool);
    await expect(other.fetch(name)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    await storeWalFile(setup.withRepositories([second]), parseWalName(name), join(setup.dataDirectory, 'pg_wal', name));
    expect(await other.fetch(name)).toBe('ready');
    await other.stop();
  });

  it('finds a file that was archived after it was absent', async () => {
    const first = await archive(3n);
    await fetcher.fetch(first);
    const name = setup.segment(4n);
    expect(await fetcher.fetch(name)).toBe('absent');
    await storeWalFile(setup.context, parseWalName(name), join(setup.dataDirectory, 'pg_wal', name));
    expect(await fetcher.fetch(name)).toBe('ready');
  });
});

describe('the spool', () => {
  it('is emptied when the cluster behind it is another one', async () => {
    const { systemIdentifier } = setup.context.identity;
    await setup.spool.claim(systemIdentifier, BOOT);
    const name = await archive(3n);
    await setup.spool.acknowledge(name, beginServerRun(setup.dataDirectory));
    await fetcher.fetch(name);
    await setup.spool.claim(systemIdentifier, BOOT);
    expect(setup.acknowledged()).toEqual([`${name}.ok`]);
    await setup.spool.claim('7300000000000000002' as typeof systemIdentifier, BOOT);
    expect(setup.acknowledged()).toEqual([]);
    expect(await setup.spool.prefetched()).toEqual([]);
  });

  it('is emptied when the host was started anew', async () => {
    const { systemIdentifier } = setup.context.identity;
    await setup.spool.claim(systemIdentifier, BOOT);
    await fetcher.fetch(await archive(3n));
    await setup.spool.claim(systemIdentifier, 'another');
    expect(await setup.spool.prefetched()).toEqual([]);
  });
});
