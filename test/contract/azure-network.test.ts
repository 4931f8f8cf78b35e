import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AzureDriver } from '../../storage-drivers/azure/azure-driver.ts';
import type { AzureOptions } from '../../storage-drivers/azure/azure-options.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { bodyOf, collect, keysOf, store, textOf } from '../support/bodies.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { type ConnectProxy, startProxy } from '../support/stores/connect-proxy.ts';
import { AZURITE_ACCOUNT, type Azurite, startAzurite, whyNoAzurite } from '../support/stores/azurite.ts';
import { until } from '../support/until.ts';

const missing = whyNoAzurite();
const MIB = 1024 * 1024;
const KEY = objectKey('main/one');
const UNAVAILABLE = { code: 'STORAGE_UNAVAILABLE' };

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function open(options: AzureOptions): Promise<AzureDriver> {
  const driver = await AzureDriver.open(options, { access: 'read-write' });
  ends.push(() => driver.close());
  return driver;
}

async function ending(proxy: Promise<ConnectProxy>): Promise<ConnectProxy> {
  const running = await proxy;
  ends.push(running.stop);
  return running;
}

describe.skipIf(missing !== undefined)(missing ?? 'the way to the store', () => {
  let plain: Azurite;
  let secure: Azurite;
  beforeAll(async () => {
    [plain, secure] = await Promise.all([startAzurite(), startAzurite({ tls: true })]);
  });
  afterAll(async () => {
    await Promise.all([plain.stop(), secure.stop()]);
  });

  it('leads through a proxy, with TLS and without', async () => {
    const proxy = await ending(startProxy('somebody:pass word'));
    for (const azurite of [secure, plain]) {
      const before = proxy.opened();
      const driver = await open(azurite.options({ proxy: `http://somebody:pass%20word@127.0.0.1:${proxy.port}` }));
      await store(driver, KEY, 'through');
      expect(await textOf(driver, KEY)).toBe('through');
      expect(proxy.opened()).toBeGreaterThan(before);
    }
  });

  it('ends at a proxy that refuses, which says nothing of its password', async () => {
    const proxy = await ending(startProxy('somebody:right'));
    const driver = await open(secure.options({ proxy: `http://somebody:wrong@127.0.0.1:${proxy.port}` }));
    const put = store(driver, KEY, 'x');
    await expect(put).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringContaining('PROXY_407') as string,
    });
    await expect(put).rejects.not.toMatchObject({ message: expect.stringContaining('wrong') as string });
  });

  it('is closed for a download that is given up, by its reader or by a signal', async () => {
    const prefix = 'given-up';
    const driver = await open(plain.options({ prefix }));
    await driver.put(KEY, bodyOf(randomBytes(8 * MIB)), { ifExists: 'fail' });
    const relay = await FaultProxy.start(plain.port);
    ends.push(() => relay.stop());
    const bare = await open(plain.options({ prefix, endpoint: `http://127.0.0.1:${relay.port}/${AZURITE_ACCOUNT}` }));
    (await bare.get(KEY)).destroy();
    await until(() => relay.connections === 0, { what: 'the connection to be closed' });
    const mine = new AbortController();
    const stream = await bare.get(KEY, { signal: mine.signal });
    mine.abort();
    await expect(collect(stream)).rejects.toMatchObject({ code: 'INTERRUPTED' });
    await until(() => relay.connections === 0, { what: 'the connection to be closed' });
  });

  it('that leads to nobody any more is a store out of reach', async () => {
    const azurite = await startAzurite();
    const driver = await open(azurite.options());
    await store(driver, KEY, 'x');
    await azurite.stop();
    await expect(driver.stat(KEY)).rejects.toMatchObject(UNAVAILABLE);
    await expect(store(driver, 'main/two', 'x')).rejects.toMatchObject(UNAVAILABLE);
    await expect(keysOf(driver)).rejects.toMatchObject(UNAVAILABLE);
  });
});
