import { existsSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LocalDriver } from '../../storage-drivers/local/local-driver.ts';
import { keysOf, store } from '../support/bodies.ts';
import { newDirectory } from '../support/sandbox.ts';

describe('links where a repository has directories', () => {
  const open = (root: string) => LocalDriver.open({ root, instance: 'own', access: 'read-write' });

  it('are told rather than left out of a listing', async () => {
    const [root, elsewhere] = [newDirectory('repo'), newDirectory('elsewhere')];
    const driver = await open(root);
    await store(driver, 'main/base/x', 'x');
    mkdirSync(join(elsewhere, 'wal'));
    symlinkSync(join(elsewhere, 'wal'), join(root, 'main/wal'));
    await expect(keysOf(driver)).rejects.toMatchObject({
      code: 'STORAGE_UNAVAILABLE',
      message: expect.stringContaining(join(root, 'main/wal')) as string,
    });
  });

  it('among the staged files are not followed by the sweep', async () => {
    const [root, elsewhere] = [newDirectory('repo'), newDirectory('elsewhere')];
    await open(root);
    const precious = join(elsewhere, 'precious');
    writeFileSync(precious, 'kept');
    utimesSync(precious, 1, 1);
    symlinkSync(elsewhere, join(root, '.staging', 'other'));
    await open(root);
    expect(existsSync(precious)).toBe(true);
  });
});
