import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { holdExclusiveLock } from '../../../catalog/sqlite/exclusive-lock.ts';
import { SqliteCatalog } from '../../../catalog/sqlite/sqlite-catalog.ts';
import { MAIN, NEAR, segmentRow } from '../../support/catalog-rows.ts';
import { newDirectory, removeDirectory, watchProcess } from '../../support/sandbox.ts';

let directory: string;
let path: string;

beforeEach(() => {
  directory = newDirectory('sqlite');
  path = join(directory, 'catalog.sqlite');
});
afterEach(() => {
  removeDirectory(directory);
});

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('SqliteCatalog.open', () => {
  it('refuses a file that is no database', () => {
    writeFileSync(path, 'this is a text that is longer than the head of a database '.repeat(30));
    expect(thrownBy(() => SqliteCatalog.open(path))).toMatchObject({ code: 'CATALOG_CORRUPT' });
  });

  it('refuses a database that is no catalog, and leaves it alone', () => {
    const other = new Database(path);
    other.exec('CREATE TABLE mine (x)');
    other.close();
    expect(thrownBy(() => SqliteCatalog.open(path))).toMatchObject({ code: 'CATALOG_CORRUPT' });
  });

  it('refuses the catalog of a newer version', async () => {
    await SqliteCatalog.open(path).close();
    const newer = new Database(path);
    newer.pragma('user_version = 99');
    newer.close();
    expect(thrownBy(() => SqliteCatalog.open(path))).toMatchObject({ code: 'CATALOG_TOO_NEW' });
  });

  it('tells a path that cannot be opened from a damaged file', () => {
    expect(thrownBy(() => SqliteCatalog.open(join(directory, 'no', 'catalog')))).toMatchObject({ code: 'LOCAL_IO' });
  });
});

describe('problems', () => {
  it('finds ranges and summaries that are not what the segments say', async () => {
    const catalog = SqliteCatalog.open(path);
    for (const number of [1, 2, 4]) await catalog.recordWalFile(segmentRow(number));
    const other = new Database(path);
    other.exec('UPDATE wal_range SET last = 3 WHERE first = 1; UPDATE wal_block SET last_commit = 5');
    other.close();
    expect(await catalog.problems()).toEqual([
      'the range of WAL at segment 1 of timeline 1 of cluster main in repository near is not what the segments say',
      'the summary of commits at segment 0 of timeline 1 of cluster main in repository near is not what the segments say',
    ]);
    await catalog.close();
  });
});

describe('replacing a catalog', () => {
  it('leaves one file, and the old one goes on when the new one is damaged', async () => {
    const catalog = SqliteCatalog.open(path);
    await catalog.recordWalFile(segmentRow(1));
    const broken = await catalog.beginReplacement();
    await broken.catalog.close();
    writeFileSync(`${path}.next`, 'damaged '.repeat(500));
    await expect(broken.commit()).rejects.toMatchObject({ code: 'CATALOG_CORRUPT' });
    await broken.discard();
    expect(await catalog.walFile(NEAR, MAIN, segmentRow(1).name)).toBeDefined();
    const next = await catalog.beginReplacement();
    await expect(catalog.beginReplacement()).rejects.toMatchObject({ code: 'LOCK_HELD' });
    await next.catalog.recordWalFile(segmentRow(2));
    await next.commit();
    expect((await catalog.walRanges(NEAR, MAIN)).map(({ first }) => first)).toEqual([2n]);
    await catalog.close();
    expect(readdirSync(directory)).toEqual(['catalog.sqlite']);
  });

  it('goes on with the old one while another process is reading it', async () => {
    const catalog = SqliteCatalog.open(path);
    await catalog.recordWalFile(segmentRow(1));
    const reader = new Database(path);
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM wal_file').get();
    await catalog.recordWalFile(segmentRow(2));
    const next = await catalog.beginReplacement();
    await expect(next.commit()).rejects.toMatchObject({ code: 'LOCAL_IO' });
    await next.discard();
    reader.close();
    expect(await catalog.walRanges(NEAR, MAIN)).toMatchObject([{ first: 1n, last: 2n }]);
    await catalog.close();
  });
});

describe('holdExclusiveLock', () => {
  it('names the process that holds it, and is free when released', () => {
    const lock = join(directory, 'service.lock');
    const held = holdExclusiveLock(lock);
    const error = thrownBy(() => holdExclusiveLock(lock));
    expect(error).toMatchObject({ code: 'LOCK_HELD', details: { pid: process.pid } });
    expect(String(error)).toContain(`process ${process.pid} since 20`);
    held.release();
    held.release();
    expect(existsSync(`${lock}.json`)).toBe(false);
    holdExclusiveLock(lock).release();
  });

  it('is freed by the kernel when its process is killed', async () => {
    const lock = join(directory, 'service.lock');
    const child = fork(new URL('../../support/hold-lock.js', import.meta.url), [lock]);
    const unwatch = watchProcess(child.pid!);
    await once(child, 'message');
    expect(thrownBy(() => holdExclusiveLock(lock))).toMatchObject({ code: 'LOCK_HELD', details: { pid: child.pid } });
    child.kill('SIGKILL');
    await once(child, 'exit');
    unwatch();
    const held = holdExclusiveLock(lock);
    expect(readFileSync(`${lock}.json`, 'utf8')).toContain(`"pid":${process.pid}`);
    held.release();
  });
});
