import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LocalDriver } from '../../storage-drivers/local/local-driver.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { driverWithDeadlines } from '../../storage-drivers/with-deadline.ts';
import { bodyOf, collect, fileBody, keysOf, store, textOf } from '../support/bodies.ts';
import { newDirectory, removeDirectory } from '../support/sandbox.ts';
import { until } from '../support/until.ts';

const KEY = objectKey('main/wal/one');
const UNAVAILABLE = { code: 'STORAGE_UNAVAILABLE' };
const EIGHT_DAYS_AGO = Date.now() / 1000 - 8 * 24 * 3600;

let directory: string;
let root: string;
let driver: LocalDriver;

beforeEach(async () => {
  directory = newDirectory('local');
  root = join(directory, 'repository');
  driver = await open();
});
afterEach(() => {
  removeDirectory(directory);
});

function open(access: 'read-only' | 'read-write' = 'read-write'): Promise<LocalDriver> {
  return LocalDriver.open({ root, instance: 'test', access });
}

function staged(name: string, content: string): string {
  const path = join(driver.features.stagingDirectory!, name);
  writeFileSync(path, content, { mode: 0o640 });
  return path;
}

/** What this process holds open below the repository. */
function heldOpen(): readonly string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(join('/proc/self/fd', fd));
      return target.startsWith(root) ? [target] : [];
    } catch {
      // The descriptor that read this directory is closed by now.
      return [];
    }
  });
}

describe('put of a staged file', () => {
  it.each(['fail', 'replace'] as const)('makes the object a name of the same file (%s)', async (ifExists) => {
    const path = staged('body', 'linked');
    await driver.put(KEY, fileBody(path), { ifExists });
    expect(statSync(join(root, KEY)).ino).toBe(statSync(path).ino);
    rmSync(path);
    expect(await textOf(driver, KEY)).toBe('linked');
    expect(readdirSync(driver.features.stagingDirectory!)).toEqual([]);
  });

  it('replaces by the file that is the object already, and leaves nothing staged', async () => {
    const path = staged('body', 'same');
    await driver.put(KEY, fileBody(path), { ifExists: 'fail' });
    await driver.put(KEY, fileBody(path), { ifExists: 'replace' });
    expect(await textOf(driver, KEY)).toBe('same');
    expect(readdirSync(driver.features.stagingDirectory!)).toEqual(['body']);
  });

  it('copies a file of another file system', async () => {
    const elsewhere = '/dev/shm';
    if (!existsSync(elsewhere) || statSync(elsewhere).dev === statSync(root).dev) return;
    const path = join(elsewhere, `walden-${process.pid}`);
    try {
      writeFileSync(path, 'copied');
      await driver.put(KEY, fileBody(path), { ifExists: 'fail' });
      await driver.put(KEY, fileBody(path), { ifExists: 'replace' });
      expect(await textOf(driver, KEY)).toBe('copied');
      expect(statSync(join(root, KEY)).nlink).toBe(1);
    } finally {
      rmSync(path, { force: true });
    }
  });

  it.each(['fail', 'replace'] as const)(
    'refuses a file of another size, and one that is a symlink (%s)',
    async (how) => {
      const path = staged('body', 'four');
      const wrong = { ...fileBody(path), size: 5 };
      await expect(driver.put(KEY, wrong, { ifExists: how })).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
      const alias = join(directory, 'alias');
      symlinkSync(path, alias);
      const target = { ...fileBody(path), size: path.length, path: alias };
      await expect(driver.put(KEY, target, { ifExists: how })).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
      expect(await keysOf(driver)).toEqual([]);
    },
  );

  it('gives objects mode 0640 and directories 0750 at most', async () => {
    await store(driver, KEY, 'x');
    expect(statSync(join(root, KEY)).mode & 0o777 & ~0o640).toBe(0);
    expect(statSync(join(root, 'main/wal')).mode & 0o777 & ~0o750).toBe(0);
  });
});

describe('a repository directory that vanished', () => {
  const moved = (): string => join(directory, 'moved');

  async function expectUnavailable(): Promise<void> {
    await expect(driver.get(KEY)).rejects.toMatchObject(UNAVAILABLE);
    await expect(driver.get(objectKey('none'))).rejects.toMatchObject(UNAVAILABLE);
    await expect(driver.stat(KEY)).rejects.toMatchObject(UNAVAILABLE);
    await expect(driver.remove(KEY)).rejects.toMatchObject(UNAVAILABLE);
    await expect(keysOf(driver)).rejects.toMatchObject(UNAVAILABLE);
    for (const ifExists of ['fail', 'replace'] as const) {
      await expect(driver.put(KEY, bodyOf('lost'), { ifExists })).rejects.toMatchObject(UNAVAILABLE);
    }
  }

  it('is out of reach, never empty, and serves again when it is back', async () => {
    await store(driver, KEY, 'kept');
    renameSync(root, moved());
    await expectUnavailable();
    expect(existsSync(root)).toBe(false);
    renameSync(moved(), root);
    expect(await textOf(driver, KEY)).toBe('kept');
    await store(driver, 'main/wal/two', 'more');
  });

  it('is out of reach when an empty directory stands in its place, as after umount', async () => {
    await store(driver, KEY, 'kept');
    renameSync(root, moved());
    mkdirSync(root);
    await expectUnavailable();
    expect(readdirSync(root)).toEqual([]);
  });

  it('is out of reach when another repository was begun below the mount point', async () => {
    await store(driver, KEY, 'kept');
    renameSync(root, moved());
    await open();
    await expectUnavailable();
  });

  it('is out of reach also when somebody made the staging directory anew', async () => {
    await store(driver, KEY, 'kept');
    renameSync(root, moved());
    await mkdir(driver.features.stagingDirectory!, { recursive: true });
    const path = staged('body', 'lost');
    await expect(driver.put(KEY, fileBody(path), { ifExists: 'fail' })).rejects.toMatchObject(UNAVAILABLE);
    await expectUnavailable();
  });

  it('is out of reach for a reader as well', async () => {
    await store(driver, KEY, 'kept');
    driver = await open('read-only');
    renameSync(root, moved());
    mkdirSync(root);
    await expectUnavailable();
  });

  it('ends a listing under way with an error, not early', async () => {
    for (const key of ['a/1', 'b/1', 'c/1']) await store(driver, key, 'x');
    const listing = async (): Promise<void> => {
      for await (const { key } of driver.list('')) if (key === 'a/1') renameSync(root, moved());
    };
    await expect(listing()).rejects.toMatchObject(UNAVAILABLE);
  });
});

describe('open', () => {
  it('refuses for reading what is not there, and changes nothing', async () => {
    root = join(directory, 'none');
    await expect(open('read-only')).rejects.toMatchObject(UNAVAILABLE);
    expect(existsSync(root)).toBe(false);
  });

  it('takes a link to a directory for that directory', async () => {
    await store(driver, KEY, 'one');
    renameSync(root, `${root}.disk`);
    symlinkSync(`${root}.disk`, root);
    for (const access of ['read-write', 'read-only'] as const) {
      const linked = await open(access);
      expect(await textOf(linked, KEY)).toBe('one');
      expect(await keysOf(linked)).toEqual([KEY]);
    }
    // What is not there is not begun anew behind the link.
    rmSync(`${root}.disk`, { recursive: true });
    await expect(open()).rejects.toMatchObject(UNAVAILABLE);
    await expect(open('read-only')).rejects.toMatchObject(UNAVAILABLE);
  });

  it('reads a copy that has no staging directory, and leaves it as it is', async () => {
    await store(driver, KEY, 'kept');
    rmSync(join(root, '.staging'), { recursive: true });
    driver = await open('read-only');
    expect(await textOf(driver, KEY)).toBe('kept');
    expect(readdirSync(root)).toEqual(['main']);
  });

  it('makes the staging directory and clears what a crash left there', async () => {
    expect(readdirSync(driver.features.stagingDirectory!)).toEqual([]);
    staged('left', 'x');
    driver = await open();
    expect(readdirSync(driver.features.stagingDirectory!)).toEqual([]);
  });

  it("clears another service's staged files only when they are a week old", async () => {
    const other = join(root, '.staging', 'other');
    mkdirSync(other);
    for (const name of ['old', 'new']) writeFileSync(join(other, name), 'x');
    utimesSync(join(other, 'old'), EIGHT_DAYS_AGO, EIGHT_DAYS_AGO);
    driver = await open();
    expect(readdirSync(other)).toEqual(['new']);
  });
});

describe('what is no object', () => {
  it('is not listed: staged files, foreign names, links', async () => {
    await store(driver, KEY, 'x');
    staged('body', 'x');
    mkdirSync(join(root, 'lost+found'), { mode: 0o000 });
    writeFileSync(join(root, 'main', 'a file~'), 'x');
    symlinkSync(join(root, KEY), join(root, 'main', 'link'));
    expect(await keysOf(driver)).toEqual([KEY]);
    expect(await keysOf(driver, '.staging')).toEqual([]);
    chmodSync(join(root, 'lost+found'), 0o700);
  });

  it('is an error where an object was expected, not a missing one', async () => {
    await store(driver, KEY, 'x');
    const folder = objectKey('main/wal');
    const link = objectKey('main/link');
    symlinkSync(join(root, KEY), join(root, link));
    for (const key of [folder, link]) {
      await expect(driver.get(key)).rejects.toMatchObject(UNAVAILABLE);
      await expect(driver.stat(key)).rejects.toMatchObject(UNAVAILABLE);
    }
    await expect(driver.put(folder, bodyOf('x'), { ifExists: 'replace' })).rejects.toMatchObject(UNAVAILABLE);
    expect(await keysOf(driver)).toEqual([KEY]);
  });

  it('cannot be stored among the staged files', async () => {
    const key = objectKey('.staging/test/x');
    await expect(driver.put(key, bodyOf('x'), { ifExists: 'fail' })).rejects.toMatchObject({ code: 'FORMAT_INVALID' });
  });
});

describe('get', () => {
  it('fails with STORAGE_SIZE when the file is cut while it is read', async () => {
    const bytes = Buffer.alloc(8 * 1024 * 1024, 'x');
    await driver.put(KEY, bodyOf(bytes), { ifExists: 'fail' });
    const read = async (): Promise<void> => {
      const hash = createHash('sha256');
      let first = true;
      for await (const chunk of await driver.get(KEY)) {
        hash.update(chunk as Buffer);
        if (first) writeFileSync(join(root, KEY), 'short');
        first = false;
      }
    };
    await expect(read()).rejects.toMatchObject({ code: 'STORAGE_SIZE' });
  });

  it('closes the file however reading ends', async () => {
    await driver.put(KEY, bodyOf(Buffer.alloc(4 * 1024 * 1024)), { ifExists: 'fail' });
    const bounded = driverWithDeadlines(driver, { answerMs: 60_000, putMs: 60_000 });
    for (const store of [driver, bounded]) {
      await collect(await store.get(KEY));
      await collect(await store.get(KEY, { length: 0 }));
      for await (const chunk of await store.get(KEY)) if (Buffer.isBuffer(chunk)) break;
    }
    // Given up before the first byte: last, since a collection of garbage would close them too.
    for (const store of [driver, bounded]) {
      for (let count = 0; count < 5; count += 1) (await store.get(KEY)).destroy();
    }
    await until(() => heldOpen().length === 0, { what: 'the files to be closed' });
  });
});
