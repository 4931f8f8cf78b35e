import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackupListDocument, StatusDocument } from '../../src/service/api.ts';
import { archiveNow, serverTime } from '../support/archiving.ts';
import { newKeyRing } from '../support/encryption.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { Gate } from '../support/gate.ts';
import { startLoad } from '../support/load.ts';
import { startRestored } from '../support/postgres-server.ts';
import { freshTarget, leaveMark, marksOf, restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { damage, packObjects, segmentObject } from '../support/stored.ts';
import { STORE_KINDS_UNDER_TEST } from '../support/stores/all-stores.ts';
import { atPort, sectionOf, type StoreUnderTest } from '../support/stores/store-under-test.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { createWalden } from '../support/walden.ts';

const [s3] = STORE_KINDS_UNDER_TEST;
type RepositoryStatus = StatusDocument['clusters'][number]['repositories'][number];

describe.skipIf(s3?.whyNot !== undefined)(
  s3?.whyNot ?? 'a cluster that requires a local repository, with an encrypted one on S3 beside it',
  () => {
    let store: StoreUnderTest;
    let gate: Gate;
    let scene: Scene;
    let section: readonly string[];
    beforeAll(async () => {
      store = await s3!.start();
      gate = await Gate.open(store.port);
      const keys = await newKeyRing();
      const encryption = [`key_directory = "${keys.options.keyDirectory}"`];
      section = [...sectionOf(atPort(store.options(), gate.port)), ...encryption];
      // Away from the beginning.
      await gate.shut();
      scene = await startScene({
        version: newestVersion,
        initdbArguments: ['--wal-segsize=1'],
        walden: {
          repositories: ['local', 'offsite'],
          stores: { offsite: section },
          clusterSettings: ['required = ["local"]'],
        },
      });
    });
    afterAll(async () => {
      await scene.dispose();
      await gate.shut();
      await store.end();
    });

    async function statusOf(name: string): Promise<RepositoryStatus> {
      const { clusters } = (await scene.walden.json('status')) as StatusDocument;
      return clusters[0]!.repositories.find((repository) => repository.name === name)!;
    }

    async function filled(): Promise<void> {
      await until(
        async () => {
          const { lag } = await statusOf('offsite');
          return lag?.walFiles === 0 && lag.backups === 0;
        },
        { what: 'the far repository to hold everything', explain: () => scene.walden.log() },
      );
    }

    async function backupsIn(repository: string): Promise<readonly string[]> {
      const { backups } = (await scene.walden.json('list', 'main')) as BackupListDocument;
      return backups.filter((one) => one.repository === repository && one.state === 'complete').map(({ id }) => id);
    }

    it('starts, archives and takes backups while S3 is away, and says so', async () => {
      const { server, walden } = scene;
      await leaveMark(server, 'before the backup');
      await walden.run('backup', 'main');
      await archiveNow(server);
      expect(await backupsIn('local')).toHaveLength(1);
      expect(await backupsIn('offsite')).toHaveLength(0);
      const away = await statusOf('offsite');
      expect(away).toMatchObject({
        required: false,
        windows: [],
        lag: { backups: 1 },
        failure: { error: { code: 'STORAGE_UNAVAILABLE' } },
      });
      expect(away.lag!.walFiles).toBeGreaterThan(0);
      expect(away.lag!.oldestAt).not.toBeNull();
      const text = await walden.run('status');
      expect(text).toMatch(/In repository offsite, filled in the background:/);
      expect(text).toMatch(/Behind the others: by \d+ WAL files? and 1 backup/);
      expect(text).toMatch(/TROUBLE, first noticed/);
    });

    it('fills it when it comes back, without reading the database again', async () => {
      await gate.reopen();
      await filled();
      expect(await backupsIn('offsite')).toEqual(await backupsIn('local'));
      const offsite = await statusOf('offsite');
      const local = await statusOf('local');
      expect(offsite.failure).toBeNull();
      expect(offsite.lastArchived?.name).toBe(local.lastArchived?.name);
      expect(offsite.windows.map(({ earliest }) => earliest)).toEqual(local.windows.map(({ earliest }) => earliest));
    });

    it('goes on archiving through an outage under load, a kill of the service in it, and catches up afterwards', async () => {
      const { server, walden } = scene;
      const load = await startLoad(server);
      await gate.shut();
      await archiveNow(server);
      await archiveNow(server);
      await walden.kill();
      await walden.start();
      await leaveMark(server, 'in the outage');
      const archived = await archiveNow(server);
      expect((await statusOf('local')).lastArchived!.name >= archived).toBe(true);
      await load.stop();
      await gate.reopen();
      await archiveNow(server);
      await filled();
    });

    it('restores to a moment from S3 alone, on another host and without a service', async () => {
      const { server } = scene;
      const moment = await serverTime(server);
      await leaveMark(server, 'after the moment');
      await archiveNow(server);
      await filled();
      const dataDirectory = freshTarget();
      const alone = ['--repository', 'offsite'];
      const another = createWalden({
        clusters: { main: { dataDirectory, conninfo: 'host=/nowhere' } },
        repositories: ['offsite'],
        stores: { offsite: section },
      });
      await another.run('restore', 'main', '--to', dataDirectory, '--time', moment, '--action', 'promote', ...alone);
      const restored = await startRestored(dataDirectory, { version: server.version });
      expect(await marksOf(restored)).toEqual(['before the backup', 'in the outage']);
      await restored.dispose();
    });

    it('reads what is damaged in one from the other, and repairs it when it is told to', async () => {
      const { server, walden } = scene;
      const [id] = await backupsIn('local');
      const [pack] = packObjects(walden, id!);
      const segment = (await statusOf('local')).lastArchived!.name;
      await damage(pack!);
      const object = segmentObject(walden, segment);
      chmodSync(join(object, '..'), 0o750);
      rmSync(object);
      const restored = await restoreAndStart(scene, []);
      expect(await fingerprint(restored)).toEqual(await fingerprint(server));
      await restored.dispose();
      expect(await walden.log()).toContain('WAL of main is fetched from repository offsite');
      const { result } = (await walden.json('repository', 'repair', 'local')) as {
        result: { repaired: number; repairedKeys: string[] };
      };
      expect(result.repairedKeys.map((key) => key.split('/').at(-1)).sort()).toEqual(
        [`${segment}.zst`, '00001.tar.zst'].sort(),
      );
      expect(await walden.run('repository', 'repair', 'local')).toContain('all are right');
      const alone = ['--repository-path', walden.repositoryPath('local')];
      const again = await restoreAndStart(scene, alone);
      expect(await fingerprint(again)).toEqual(await fingerprint(server));
      await again.dispose();
    });
  },
);
