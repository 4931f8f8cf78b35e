import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackupListDocument, PlanDocument } from '../../src/service/api.ts';
import { archiveNow } from '../support/archiving.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { startRestored } from '../support/postgres-server.ts';
import { freshTarget, restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { STORE_KINDS_UNDER_TEST } from '../support/stores/all-stores.ts';
import { sectionOf, type StoreUnderTest } from '../support/stores/store-under-test.ts';
import { appendConfiguration, createWalden } from '../support/walden.ts';
import { restoreToAMoment } from '../support/story.ts';
import { newestVersion } from '../support/tested-versions.ts';

describe.each(STORE_KINDS_UNDER_TEST)('a cluster whose only repository is on $what', (kind) => {
  const { what, whyNot } = kind;
  describe.skipIf(whyNot !== undefined)(whyNot ?? what, () => {
    let store: StoreUnderTest;
    let section: readonly string[];
    let scene: Scene;
    beforeAll(async () => {
      store = await kind.start();
      section = sectionOf(store.options());
      scene = await startScene({
        ...{ version: newestVersion, settings: newestVersion >= 17 ? { summarize_wal: 'on' } : {} },
        walden: { repositories: ['far'], stores: { far: section } },
      });
    });
    afterAll(async () => {
      await scene.dispose();
      await store.end();
    });

    it('passes the check', async () => {
      expect(await scene.walden.run('repository', 'check', 'far')).toMatch(/^transfer +ok/m);
    });

    it('is archived and backed up under load, and restored to a moment', async () => {
      await restoreToAMoment(scene);
    });

    it('has all that the catalog says, found again without it', async () => {
      const { walden } = scene;
      const before = (await walden.json('list', 'main')) as BackupListDocument;
      await walden.run('catalog', 'rebuild');
      expect(await walden.json('list', 'main')).toEqual(before);
      expect(before.backups.map(({ repository }) => repository)).toEqual(['far']);
    });

    it('gives each object out as it is stored', async () => {
      const { server, walden } = scene;
      const segment = await archiveNow(server);
      const listed = await walden.run('repository', 'ls', 'far', 'main/wal/');
      const key = listed.split(/\s+/).find((word) => word.endsWith(`${segment}.zst`));
      const copy = join(freshTarget(), '..', 'segment.zst');
      await walden.run('repository', 'get', 'far', key!, copy);
      expect(existsSync(copy)).toBe(true);
      // A skippable frame of zstd comes first: what `zstd -d` passes over.
      expect(readFileSync(copy).readUInt32LE(0) & 0xfffffff0).toBe(0x184d2a50);
      expect(await walden.run('repository', 'du', 'far')).toMatch(/^main +WAL/m);
    });

    it('goes on when the service was killed in the middle of a backup', async () => {
      const { walden } = scene;
      const backup = walden.launch('backup', 'main');
      await walden.kill();
      await backup.outcome;
      await walden.start();
      await walden.run('backup', 'main');
      const { backups } = (await walden.json('list', 'main')) as BackupListDocument;
      expect(backups.filter(({ state }) => state === 'complete').length).toBeGreaterThanOrEqual(2);
      const restored = await restoreAndStart(scene, []);
      expect(await fingerprint(restored)).toEqual(await fingerprint(scene.server));
      await restored.dispose();
    });

    it.runIf(newestVersion >= 17)('takes incremental backups over the protocol', async () => {
      const { server, walden } = scene;
      await walden.stop();
      await appendConfiguration(walden, ['backup_source = "stream"']);
      await walden.start();
      await server.query("insert into marks select 'changed ' || i from generate_series(1, 1000) i");
      await walden.run('backup', 'main', '--incremental');
      await server.query("delete from marks where mark like 'changed 9%'");
      await walden.run('backup', 'main', '--incremental');
      const { chain } = (await walden.json('plan', 'main')) as PlanDocument;
      expect(chain).toHaveLength(2);
    });

    it('is enough by itself: a new service on a new host restores from it', async () => {
      const { server, walden } = scene;
      await archiveNow(server);
      await walden.stop();
      const dataDirectory = freshTarget();
      const another = createWalden({
        clusters: { main: { dataDirectory, conninfo: 'host=/nowhere' } },
        repositories: ['far'],
        stores: { far: section },
      });
      await another.start();
      await another.run('restore', 'main', '--to', dataDirectory);
      const restored = await startRestored(dataDirectory, { version: server.version });
      expect(await fingerprint(restored)).toEqual(await fingerprint(server));
      await restored.dispose();
      await another.stop();
    });
  });
});
