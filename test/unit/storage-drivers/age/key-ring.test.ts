import { readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { KeyRing } from '../../../../storage-drivers/age/key-ring.ts';
import { MemoryDriver } from '../../../../storage-drivers/memory/memory-driver.ts';
import { objectKey } from '../../../../storage-drivers/object-key.ts';
import { bodyOf, store, textOf } from '../../../support/bodies.ts';
import { ageKeygen, currentKeyPath, encrypted, newKeyRing, whyNoAge } from '../../../support/encryption.ts';
import { newDirectory } from '../../../support/sandbox.ts';

let keys: KeyRing;
beforeEach(async () => {
  keys = await newKeyRing();
});

describe('the keys of a repository', () => {
  it('are read again when somebody else made one: new objects are for it from then on', async () => {
    const memory = new MemoryDriver();
    const driver = encrypted(memory, keys);
    await store(driver, 'old', 'old');
    const old = await currentKeyPath(keys);
    await new KeyRing(keys.options).make(new Date(), 'next');
    await store(driver, 'new', 'new');
    rmSync(old);
    expect(await textOf(driver, 'new')).toBe('new');
    await expect(textOf(encrypted(memory, keys), 'old')).rejects.toMatchObject({ code: 'KEY_MISSING' });
  });

  it('follow each other also where the clock was set back', async () => {
    const [first] = await keys.recipients();
    await keys.make(new Date('2001-01-01T00:00:00Z'), 'next');
    const { files, current } = await keys.keys();
    expect(files.map(({ name }) => name)).toEqual(['20260102T030406Z.key', '20260102T030405Z.key']);
    expect(current?.identity.recipient).not.toBe(first);
  });

  it('open objects under any name, and make none but under a moment', async () => {
    const memory = new MemoryDriver();
    await store(encrypted(memory, keys), 'it', 'content');
    renameSync(await currentKeyPath(keys), join(keys.options.keyDirectory, 'recovery.key'));
    const driver = encrypted(memory, keys);
    expect(await textOf(driver, 'it')).toBe('content');
    const put = driver.put(objectKey('other'), bodyOf('x'), { ifExists: 'fail' });
    await expect(put).rejects.toMatchObject({ code: 'KEY_MISSING' });
  });

  it('may be links, as mounted secrets are', async () => {
    const path = await currentKeyPath(keys);
    const elsewhere = join(newDirectory('secret'), 'key');
    renameSync(path, elsewhere);
    symlinkSync(elsewhere, path);
    expect((await keys.keys()).files).toHaveLength(1);
  });

  it('are missed when their directory is not there', async () => {
    const none = new KeyRing({ ...keys.options, keyDirectory: '/nowhere/keys' });
    await expect(none.keys()).rejects.toMatchObject({
      code: 'KEY_MISSING',
      message: 'its directory does not exist (keys of repository offsite: /nowhere/keys)',
    });
  });

  it('refuse a recipient with a wrong letter', () => {
    const recipient = 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8q';
    expect(() => new KeyRing({ ...keys.options, recipients: [recipient] })).toThrow(/is no recipient/);
  });

  it.skipIf(whyNoAge !== undefined)('refuse a file with two keys, without naming them', async () => {
    const { path } = ageKeygen(keys.options.keyDirectory, 'two.key');
    writeFileSync(path, readFileSync(path, 'utf8').repeat(2));
    const reading = keys.keys();
    await expect(reading).rejects.toMatchObject({ code: 'KEY_REFUSED' });
    await expect(reading).rejects.not.toThrow(/SECRET/);
  });
});
