import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackupListDocument, StatusDocument } from '../../src/service/api.ts';
import type { JobListDocument } from '../../src/service/watch-api.ts';
import { archived, archiveNow, serverTime, switchSegment } from '../support/archiving.ts';
import { Gate } from '../support/gate.ts';
import { leaveMark, marksOf, restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { segmentObject } from '../support/stored.ts';
import { STORE_KINDS_UNDER_TEST } from '../support/stores/all-stores.ts';
import { atPort, sectionOf, type StoreUnderTest } from '../support/stores/store-under-test.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { newDirectory } from '../support/sandbox.ts';

const [s3] = STORE_KINDS_UNDER_TEST;

describe.skipIf(s3?.whyNot !== undefined)(
  s3?.whyNot ?? 'a service whose catalog was lost while one of its stores is away',
  () => {
    let store: StoreUnderTest;
    let gate: Gate;
    let scene: Scene;
    /** Of which the near repository has lost a segment. */
    let behindTheHole: string;
    let hole: string;
    let id: string;

    beforeAll(async () => {
      store = await s3!.start();
      gate = await Gate.open(store.port);
      const far = sectionOf(atPort(store.options(), gate.port));
      scene = await startScene({
        version: newestVersion,
        initdbArguments: ['--wal-segsize=1'],
        walden: { repositories: ['near', 'far'], stores: { far }, clusterSettings: ['wal_fetch_timeout = 2'] },
      });
      const { server, walden } = scene;
      await walden.run('backup', 'main');
      [id] = (await backups()) as [string];
      await leaveMark(server, 'before the hole');
      await archiveNow(server);
      await leaveMark(server, 'in the hole');
      hole = await archiveNow(server);
      await leaveMark(server, 'behind the hole');
      behindTheHole = await serverTime(server);
      await leaveMark(server, 'last');
      await archiveNow(server);
      await walden.stop();
      const object = segmentObject(walden, hole, 'near');
      chmodSync(dirname(object), 0o750);
      rmSync(object);
      rmSync(walden.stateDirectory, { recursive: true });
      mkdirSync(walden.stateDirectory);
      await gate.shut();
      await walden.start();
    });
    afterAll(async () => {
      await scene.dispose();
      await gate.shut();
      await store.end();
    });

    async function backups(): Promise<readonly string[]> {
      const list = (await scene.walden.json('list', 'main')) as BackupListDocument;
      return list.backups.filter(({ state }) => state === 'complete').map((backup) => backup.id);
    }

    async function rebuilds(): Promise<readonly string[]> {
      const { jobs } = (await scene.walden.json('job', 'list')) as JobListDocument;
      return jobs.filter(({ kind }) => kind === 'catalog-rebuild').map(({ state }) => state);
    }

    async function nearIsKnown(): Promise<void> {
      await until(async () => (await scene.walden.attempt('plan', 'main', '--immediate')).status === 0, {
        what: 'a plan from the repository that is there',
        explain: () => scene.walden.log(),
      });
    }

    async function fetch(segment: string): Promise<number> {
      const target = join(newDirectory('fetched'), 'it');
      return (await scene.walden.attempt('wal', 'fetch', 'main', segment, target, '--timeout', '5')).status;
    }

    it('plans and shows what the other one holds, and says what it did not look at', async () => {
      await nearIsKnown();
      const plan = await scene.walden.run('plan', 'main', '--immediate', '--backup', id);
      expect(plan).toContain('repository near');
      expect(plan).toContain('repository far was not read since the catalog was lost: it may hold more');
      expect(await scene.walden.run('show', 'main', id)).toContain(id);
      expect(await scene.walden.run('status')).toMatch(/^The catalog was lost, and is not rebuilt yet/);
    });

    it('restores from there', async () => {
      const restored = await restoreAndStart(scene, ['--standby', '--backup', id], { waitFor: 'accepting' });
      await until(async () => (await marksOf(restored)).includes('before the hole'), {
        what: 'its WAL to be replayed',
      });
      await restored.dispose();
    });

    it('archives what PostgreSQL has once all that it requires are there, and says until then why not', async () => {
      const segment = await switchSegment(scene.server);
      await until(async () => (await scene.server.log()).includes(`pg_wal/${segment}`), {
        what: 'the archiver to be told why',
        explain: () => scene.walden.log(),
      });
    });

    it.each([
      ['a backup that it does not know', ['show', 'main', '20200101T000000F']],
      ['the newest backup', ['show', 'main', 'latest']],
      ['all backups', ['list', 'main']],
      ['all WAL', ['wal', 'list', 'main']],
      ['the holes in it', ['wal', 'gaps', 'main']],
      ['a plan from a backup that it does not know', ['plan', 'main', '--backup', '20200101T000000F']],
      ['a plan to a moment before all that it knows', ['plan', 'main', '--time', '2020-01-01 00:00Z']],
    ])('says that it does not know enough when it is asked for %s', async (_, words) => {
      const { status, stderr } = await scene.walden.attempt(...words);
      expect(status).toBe(65);
      expect(stderr).toMatch(/the catalog was lost, and it is not known what is in repository far \(/);
    });

    it('takes no hole in one for the last word about a moment behind it, nor a file for absent', async () => {
      const words = ['--time', behindTheHole];
      const { status, stderr } = await scene.walden.attempt('plan', 'main', ...words);
      expect({ status, stderr }).toEqual({ status: 65, stderr: expect.stringContaining(hole) as string });
      expect(await fetch('000000010000000F00000001')).toBe(200);
      expect(await fetch(hole)).toBe(200);
    });

    it('begins again after a kill, and reads the other by itself when it is there', async () => {
      const { server, walden } = scene;
      await walden.kill();
      await walden.start();
      await nearIsKnown();
      expect(await rebuilds()).toEqual(['running', 'failed']);
      await gate.reopen();
      await until(async () => ((await walden.json('status')) as StatusDocument).catalogRebuild === null, {
        what: 'the end of the rebuild',
        explain: () => walden.log(),
      });
      expect(await rebuilds()).toEqual(['done', 'failed']);
      expect(await backups()).toEqual([id, id]);
      const plan = await walden.run('plan', 'main', '--time', behindTheHole);
      expect(plan).not.toContain('was not read since');
      await archived(server, await switchSegment(server));
      expect(await walden.json('wal', 'gaps', 'main')).toMatchObject({ gaps: [{ repository: 'near', first: hole }] });
      expect(await fetch('000000010000000F00000001')).toBe(1);
      const restored = await restoreAndStart(scene, []);
      expect(await marksOf(restored)).toEqual(['before the hole', 'behind the hole', 'in the hole', 'last']);
      await restored.dispose();
    });
  },
);
