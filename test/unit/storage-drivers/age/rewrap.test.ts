import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { KeyRing } from '../../../../storage-drivers/age/key-ring.ts';
import { rewrapObjects, type RewrapOutcome } from '../../../../storage-drivers/age/rewrap.ts';
import type { StorageDriver } from '../../../../storage-drivers/driver.ts';
import { FaultyDriver } from '../../../../storage-drivers/faulty/faulty-driver.ts';
import { LocalDriver } from '../../../../storage-drivers/local/local-driver.ts';
import { objectKey } from '../../../../storage-drivers/object-key.ts';
import { driverWithAccess } from '../../../../storage-drivers/with-access.ts';
import { bodyOf, textOf } from '../../../support/bodies.ts';
import { ageKeygen, encrypted, newKeyRing } from '../../../support/encryption.ts';
import { newDirectory } from '../../../support/sandbox.ts';

const NAMES = ['main/a', 'main/b', 'main/c', 'main/d', 'main/e'];

let keys: KeyRing;
let store: StorageDriver;

beforeEach(async () => {
  keys = await newKeyRing();
  store = await LocalDriver.open({ root: newDirectory('store'), instance: 'test', access: 'read-write' });
  for (const name of NAMES)
    await encrypted(store, keys).put(objectKey(name), bodyOf(name.repeat(20_000)), { ifExists: 'fail' });
});

function rewrap(driver: StorageDriver = store, ring: KeyRing = keys): Promise<RewrapOutcome> {
  const { signal } = new AbortController();
  return rewrapObjects(driver, {
    keys: ring,
    stagingDirectory: newDirectory('staging'),
    signal,
    onProgress: () => undefined,
  });
}

/** Opens what this one key opens. */
async function onlyWithCurrent(): Promise<KeyRing> {
  const { current } = await keys.keys();
  const keyDirectory = newDirectory('alone');
  cpSync(join(keys.options.keyDirectory, current!.name), join(keyDirectory, current!.name));
  return new KeyRing({ keyDirectory, recipients: [], repository: 'offsite' });
}

describe('rewrapping', () => {
  it('has every object opened by the new key alone, and does nothing when it is done again', async () => {
    await keys.make(new Date(), 'next');
    expect(await rewrap()).toEqual({ rewrapped: 5, kept: 0, failures: [] });
    const reader = encrypted(store, await onlyWithCurrent());
    for (const name of NAMES) expect(await textOf(reader, name)).toBe(name.repeat(20_000));
    expect(await rewrap()).toEqual({ rewrapped: 0, kept: 5, failures: [] });
    expect(readdirSync(store.features.stagingDirectory!)).toEqual([]);
  });

  it('goes on after it died, at whichever object it was', async () => {
    for (const moment of ['before', 'after'] as const) {
      for (let at = 1; at <= NAMES.length; at += 1) {
        await keys.make(new Date(), 'next');
        const dying = new FaultyDriver(store, { kind: 'mutation', at, moment, lasting: true });
        await expect(rewrap(dying)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
        for (const name of NAMES) expect(await textOf(encrypted(store, keys), name)).toBe(name.repeat(20_000));
        const { rewrapped, kept } = await rewrap();
        expect(rewrapped + kept).toBe(5);
        expect(kept).toBe(moment === 'before' ? at - 1 : at);
        const reader = encrypted(store, await onlyWithCurrent());
        for (const name of NAMES) expect(await textOf(reader, name)).toBe(name.repeat(20_000));
      }
    }
  });

  it('is done for recipients that were added, too', async () => {
    const recovery = ageKeygen(newDirectory('recovery'), 'recovery.key');
    const more = new KeyRing({ ...keys.options, recipients: [recovery.recipient] });
    expect(await rewrap(store, more)).toMatchObject({ rewrapped: 5 });
    const rescuer = new KeyRing({ keyDirectory: join(recovery.path, '..'), recipients: [], repository: 'offsite' });
    expect(await textOf(encrypted(store, rescuer), 'main/c')).toBe('main/c'.repeat(20_000));
  });

  it('leaves a reader undisturbed that is in the middle of an object', async () => {
    const reader = encrypted(store, keys);
    const first = await reader.get(objectKey('main/a'), { offset: 0, length: 6 });
    first.destroy();
    await keys.make(new Date(), 'next');
    await rewrap();
    const rest = await reader.get(objectKey('main/a'), { offset: 70_002, length: 6 });
    expect(Buffer.concat(await rest.toArray()).toString()).toBe('main/a'.repeat(20_000).slice(70_002, 70_008));
  });

  it('names what it cannot open, leaves it as it is, and does the others', async () => {
    const others = encrypted(store, await newKeyRing());
    await others.put(objectKey('main/foreign'), bodyOf('not ours'), { ifExists: 'fail' });
    await keys.make(new Date(), 'next');
    const { rewrapped, failures } = await rewrap();
    expect(rewrapped).toBe(5);
    expect(failures.map(({ key, error }) => [key, error.code])).toEqual([['main/foreign.age', 'KEY_MISSING']]);
    expect(await textOf(others, 'main/foreign')).toBe('not ours');
  });

  it('is STORAGE_DENIED where nothing may be replaced', async () => {
    await keys.make(new Date(), 'next');
    await expect(rewrap(driverWithAccess(store, 'append-only'))).rejects.toMatchObject({ code: 'STORAGE_DENIED' });
  });
});
