import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DriverOptions, openDriver } from '../../storage-drivers/registry.ts';
import { openClient } from '../../storage-drivers/s3/s3-client.ts';
import { S3Requests } from '../../storage-drivers/s3/s3-requests.ts';
import { ABANDONED_MS, sweepUploads } from '../../storage-drivers/s3/s3-uploads.ts';
import type { BackupListDocument } from '../../src/service/api.ts';
import { keysOf } from '../support/bodies.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { STORE_KINDS_UNDER_TEST } from '../support/stores/all-stores.ts';
import { atPort, sectionOf, type StoreUnderTest } from '../support/stores/store-under-test.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';

/** Requests that bring one part of a pack. */
const PARTS = {
  s3: /^PUT .*\/(main\/base\/[^?]*)\?.*partNumber=2/,
  azure: /^PUT .*\/(main\/base\/[^?]*)\?comp=block&/,
} as const;
/** Does not compress: a pack of it goes up in parts, as what is larger than 32 MiB does. */
const NOISE_MEGABYTES = 40;
const MEBIBYTE = 1024 ** 2;

const CASES = STORE_KINDS_UNDER_TEST.flatMap((kind) => {
  const { driver } = kind;
  return driver === 's3' || driver === 'azure' ? [{ ...kind, part: PARTS[driver] }] : [];
});

describe.each(CASES)('a service that is killed while a pack goes up in parts to $what', (kind) => {
  const { part, whyNot } = kind;
  describe.skipIf(whyNot !== undefined)(whyNot ?? 'it', () => {
    let store: StoreUnderTest;
    let way: FaultProxy;
    let options: DriverOptions;
    let scene: Scene;
    beforeAll(async () => {
      store = await kind.start();
      way = await FaultProxy.start(store.port);
      options = store.options();
      const far = sectionOf(atPort(options, way.port));
      scene = await startScene({ version: newestVersion, walden: { repositories: ['far'], stores: { far } } });
      await scene.server.query('create table noise (bytes bytea)');
      await scene.server.query('alter table noise alter bytes set storage external');
      for (let megabytes = 0; megabytes < NOISE_MEGABYTES; megabytes += 1) {
        await scene.server.query('insert into noise values ($1)', [randomBytes(MEBIBYTE)]);
      }
    });
    afterAll(async () => {
      await scene.dispose();
      await way.stop();
      await store.end();
    });

    async function stored(): Promise<readonly string[]> {
      const driver = await openDriver(options, { instance: 'test', access: 'read-only' });
      const keys = await keysOf(driver);
      await driver.close();
      return keys;
    }

    it('leaves nothing to see of it, and the next backup is whole', async () => {
      const { walden, server } = scene;
      way.plan(part, 'silence', { times: Infinity });
      const backup = walden.launch('backup', 'main');
      await until(() => way.struck > 0, {
        what: 'a part to be on its way',
        explain: () => walden.log(),
      });
      const held = way.asked.map((request) => part.exec(request)?.[1]).find((key) => key !== undefined);
      await walden.kill();
      await backup.outcome;
      way.clear();
      expect(held).toMatch(/data\//);
      expect(await stored()).not.toContain(held);

      await walden.start();
      await walden.run('backup', 'main');
      const { backups } = (await walden.json('list', 'main')) as BackupListDocument;
      expect(backups.filter(({ state }) => state === 'complete')).toHaveLength(1);
      const restored = await restoreAndStart(scene, []);
      expect(await fingerprint(restored)).toEqual(await fingerprint(server));
      await restored.dispose();
    });

    it.runIf(part === PARTS.s3)('leaves an unfinished upload, which the sweep of old ones gives up', async () => {
      if (options.driver !== 's3') throw new Error('this is about S3');
      const requests = new S3Requests(await openClient(options), options);
      const prefix = `${options.prefix ?? ''}/`;
      const unfinished = async (): Promise<number> => (await requests.uploads(prefix, { attempted: 'look' })).length;
      expect(await unfinished()).toBe(1);
      expect(await sweepUploads(requests, prefix, new Date(Date.now() - ABANDONED_MS))).toBe(0);
      expect(await sweepUploads(requests, prefix, new Date(Date.now() + ABANDONED_MS))).toBe(1);
      expect(await unfinished()).toBe(0);
      requests.close();
    });
  });
});
