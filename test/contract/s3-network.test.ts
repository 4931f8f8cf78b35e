import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { S3Driver } from '../../storage-drivers/s3/s3-driver.ts';
import type { S3Options } from '../../storage-drivers/s3/s3-options.ts';
import { driverWithDeadlines } from '../../storage-drivers/with-deadline.ts';
import { bodyOf, collect, keysOf, store, textOf } from '../support/bodies.ts';
import { type Rgw, startRgw, whyNoRgw } from '../support/stores/rgw.ts';
import { MEBIBYTE, S3Scene } from '../support/stores/s3-scene.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { freePort } from '../support/free-port.ts';
import { until } from '../support/until.ts';

const KEY = objectKey('main/base/one');
const BYTES = randomBytes(8 * MEBIBYTE);
const DEADLINE_MS = 60_000;
const whyNot = whyNoRgw();

describe.skipIf(whyNot !== undefined)(whyNot ?? 'S3 over a network', () => {
  let scene: S3Scene<Rgw>;
  const ends: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    scene = await S3Scene.start(startRgw);
  });
  afterAll(() => scene.end());
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  async function open(changes: Partial<S3Options>): Promise<StorageDriver> {
    const driver = await scene.open(changes);
    ends.push(() => driver.close());
    return driver;
  }

  async function reader(changes: Partial<S3Options>): Promise<StorageDriver> {
    const driver = await S3Driver.open(scene.options(changes), { access: 'read-only' });
    ends.push(() => driver.close());
    return driver;
  }

  async function relayed(): Promise<{ readonly relay: FaultProxy; readonly driver: StorageDriver }> {
    const relay = await FaultProxy.start(Number(new URL(scene.server.endpoint).port));
    ends.push(() => relay.stop());
    const driver = await open({ endpoint: `http://127.0.0.1:${relay.port}` });
    await driver.put(KEY, bodyOf(BYTES), { ifExists: 'fail' });
    return { relay, driver };
  }

  async function noConnection(relay: FaultProxy): Promise<void> {
    await until(() => relay.connections === 0, { what: 'the end of the connection', deadlineMs: DEADLINE_MS });
  }

  describe('a proxy', () => {
    /** An HTTP proxy that lets in whoever gives this user. */
    async function startProxy(): Promise<{ readonly host: string; readonly tunnels: () => number }> {
      let tunnels = 0;
      const server = createHttpServer().on('connect', (request, client) => {
        const [host, port] = (request.url ?? '').split(':');
        const user = Buffer.from((request.headers['proxy-authorization'] ?? '').split(' ')[1] ?? '', 'base64');
        if (user.toString() !== 'walden:secret') {
          client.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n');
          return;
        }
        tunnels += 1;
        const onward = connect(Number(port), host, () => client.write('HTTP/1.1 200 OK\r\n\r\n'));
        client.pipe(onward).pipe(client);
        for (const socket of [client, onward]) socket.on('error', () => undefined);
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      ends.push(() => new Promise((resolve) => server.close(resolve)));
      return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, tunnels: () => tunnels };
    }

    it('is used, for TLS as well', async () => {
      const { host, tunnels } = await startProxy();
      const proxy = `http://walden:secret@${host}`;
      const { tlsEndpoint, caFile } = scene.server;
      const places = [
        { endpoint: tlsEndpoint, caFile },
        { endpoint: tlsEndpoint.replace('127.0.0.1', 'localhost'), caFile },
        { endpoint: scene.server.endpoint },
      ];
      for (const [index, place] of places.entries()) {
        const driver = await open({ ...place, proxy });
        await store(driver, 'some', 'thing');
        expect(await textOf(driver, 'some')).toBe('thing');
        // One connection for all requests, one after the other.
        expect(tunnels()).toBe(index + 1);
      }
    });

    it('does not keep certificates from being checked', async () => {
      const { host } = await startProxy();
      const driver = await reader({ endpoint: scene.server.tlsEndpoint, proxy: `http://walden:secret@${host}` });
      const hint = expect.stringContaining('ca_file') as string;
      await expect(driver.stat(KEY)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', hint });
    });

    it('that refuses us is STORAGE_DENIED', async () => {
      const { host, tunnels } = await startProxy();
      const proxy = `http://walden:wrong-secret@${host}`;
      const driver = await reader({ endpoint: scene.server.tlsEndpoint, caFile: scene.server.caFile, proxy });
      const error: unknown = await driver.stat(KEY).catch((error: unknown) => error);
      expect(error).toMatchObject({ code: 'STORAGE_DENIED', hint: expect.stringContaining('proxy') as string });
      expect(String(error)).not.toContain('wrong-secret');
      expect(tunnels()).toBe(0);
    });
  });

  describe('a store that nobody runs', () => {
    it('is STORAGE_UNAVAILABLE', async () => {
      const driver = await reader({ endpoint: `http://127.0.0.1:${await freePort()}` });
      const calls = [
        () => store(driver, KEY, 'x'),
        () => driver.get(KEY),
        () => driver.stat(KEY),
        () => keysOf(driver),
        () => driver.remove(KEY),
      ];
      for (const call of calls) {
        const details = { reason: 'ECONNREFUSED' };
        await expect(call()).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', details });
      }
    });

    it('any more is STORAGE_UNAVAILABLE', async () => {
      const { relay, driver } = await relayed();
      await relay.stop();
      await expect(driver.stat(KEY)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
      await expect(store(driver, 'other', 'x')).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    });

    it('or whose name nobody knows is STORAGE_UNAVAILABLE', async () => {
      const driver = await reader({ endpoint: 'http://store.invalid' });
      await expect(driver.stat(KEY)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    });
  });

  describe('a store that takes requests and never answers', () => {
    it('is given up at the deadline, and its connections are closed', async () => {
      const sockets = new Set<object>();
      const server = createServer((socket) => {
        sockets.add(socket);
        socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
        socket.resume();
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      ends.push(() => new Promise((resolve) => server.close(resolve)));
      const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const driver = driverWithDeadlines(await reader({ endpoint }), { answerMs: 500, putMs: 500 });
      const calls = [
        () => driver.put(KEY, bodyOf('x'), { ifExists: 'replace' }),
        () => driver.get(KEY),
        () => driver.stat(KEY),
        () => keysOf(driver),
        () => driver.remove(KEY),
      ];
      // The deadline of a large body is a long one.
      const signal = AbortSignal.timeout(500);
      await Promise.all([
        ...calls.map((call) => expect(call()).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' })),
        ...[BYTES, Buffer.alloc(33 * MEBIBYTE)].map((bytes) =>
          expect(driver.put(KEY, bodyOf(bytes), { ifExists: 'replace', signal })).rejects.toMatchObject({
            code: 'INTERRUPTED',
          }),
        ),
      ]);
      await until(() => sockets.size === 0, { what: 'the end of all connections', deadlineMs: DEADLINE_MS });
    });
  });

  describe('a download', () => {
    it.each(['before it is read', 'in its middle'])('that is given up %s closes its connection', async (when) => {
      const { relay, driver } = await relayed();
      const stream = await driver.get(KEY);
      if (when === 'in its middle') await once(stream, 'data');
      stream.destroy();
      await noConnection(relay);
    });

    it('that is aborted is INTERRUPTED and closes its connection', async () => {
      const { relay, driver } = await relayed();
      const controller = new AbortController();
      const stream = await driver.get(KEY, { signal: controller.signal });
      await once(stream, 'data');
      controller.abort();
      await expect(collect(stream)).rejects.toMatchObject({ code: 'INTERRUPTED' });
      await noConnection(relay);
    });
  });

  describe('close', () => {
    it('ends connections, those in use too', async () => {
      const { relay, driver } = await relayed();
      const stream = await driver.get(KEY);
      await once(stream, 'data');
      await driver.close();
      await expect(collect(stream)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
      await noConnection(relay);
    });
  });
});
