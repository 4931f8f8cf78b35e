import { closeSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { BackupId, BackupRecord } from '../../catalog/catalog.ts';
import { isWaldenError } from '../../src/errors.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createWorkerPool, type WorkerPool } from '../../src/platform/worker-pool.ts';
import { parseWalName } from '../../src/postgres/wal-name.ts';
import { backupRecordKey, walKey } from '../../src/repository/keys.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { restoreCluster } from '../../src/restore/restore-cluster.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { openTestCatalog, openTestRepository, type TestRepository } from '../support/backup-stores.ts';
import { type BackupSetup, MAIN, setUpBackup, streamOf } from '../support/backup-setup.ts';
import { checkIndexes } from '../support/fingerprint.ts';
import { installedTool } from '../support/postgres-binaries.ts';
import { startRestored, type TestServer } from '../support/postgres-server.ts';
import { freshTarget } from '../support/scene.ts';
import { testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';

const able = testedVersions.filter((version) => version >= 17);

/** Of a server that was built with zstd, which those of npm are not; see CONTRIBUTING.md. */
function programsWithZstd(version: number): string | undefined {
  const program = process.env['WALDEN_TEST_PG_COMBINEBACKUP'] ?? installedTool(version, 'postgres');
  return program === undefined ? undefined : dirname(program);
}

async function errorCode(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'no error';
  } catch (error) {
    return isWaldenError(error) ? error.code : String(error);
  }
}

// Skipped rather than missing: a file without a suite counts as a failure.
describe.runIf(able.length > 0).each(able.length > 0 ? able : testedVersions)(
  'what incremental backups of PostgreSQL %i build on',
  (version) => {
    const programs = programsWithZstd(version);
    let setup: BackupSetup;
    let near: TestRepository;
    let far: TestRepository;
    let pool: WorkerPool;
    let restored: TestServer | undefined;

    beforeAll(async () => {
      near = await openTestRepository('near');
      far = await openTestRepository('far');
      const parts = { catalog: openTestCatalog(), repositories: [near, far] };
      const options = { version, initdbArguments: ['-k'], settings: { summarize_wal: 'on' } };
      setup = await setUpBackup(programs === undefined ? options : { ...options, programs }, parts);
      pool = createWorkerPool(new URL('../support/restore-worker.js', import.meta.url), 2);
      await setup.server.query('create extension amcheck');
      await setup.server.query(
        "create table rows as select i, repeat('row ', 20) as text from generate_series(1, 20000) i",
      );
      await setup.server.query('create index on rows (i)');
    }, 120_000);
    afterEach(async () => {
      await restored?.dispose();
      restored = undefined;
    });
    afterAll(async () => {
      await pool.close();
      await setup.dispose();
    });

    async function take(parent?: BackupId | 'newest', repositories?: readonly Repository[]): Promise<BackupRecord> {
      const cluster = { name: MAIN, backup: streamOf(setup.server), receive: undefined };
      return (await setup.take({ cluster, parent }, {}, repositories))[0]!;
    }

    async function restore(
      backup: BackupRecord,
      repositories: readonly Repository[] = [near, far],
    ): Promise<TestServer> {
      await setup.server.query('select pg_switch_wal()');
      const last = await setup.server.value('select last_archived_wal from pg_stat_archiver');
      await until(() => readdirSync(setup.archive).includes(last), { what: 'the WAL to be archived' });
      const to = freshTarget();
      await restoreCluster(
        { catalog: setup.deps.catalog, repositories, pool, clock: systemClock },
        {
          cluster: MAIN,
          request: { target: { kind: 'immediate', backup: backup.id }, to, action: 'promote' },
          restoreCommand: `cp ${setup.archive}/%f %p`,
        },
        { signal: new AbortController().signal, onProgress: () => undefined },
      );
      return await startRestored(to, { version });
    }

    it('is a backup of the files as well as one over the protocol', async () => {
      const { server } = setup;
      const [files] = await setup.take();
      await server.query("update rows set text = 'once' where i <= 100");
      const first = await take('newest');
      expect(first.facts?.parent).toBe(files!.id);
      await server.query("update rows set text = 'twice' where i <= 50");
      const second = await take('newest');
      expect(second.facts?.parent).toBe(first.id);
      restored = await restore(second);
      const counts = 'select text, count(*) from rows where i <= 100 group by 1 order by 1';
      expect(await restored.query(counts)).toEqual(await server.query(counts));
      expect(await restored.value('select count(*) from rows')).toBe('20000');
      expect(await checkIndexes(restored)).toBeGreaterThan(100);
    }, 180_000);

    it.runIf(programs !== undefined)(
      'gives the same when the server compresses what comes',
      async () => {
        const { server } = setup;
        const full = await take();
        await server.query("update rows set text = 'compressed' where i <= 200");
        const said = setup.warnings.length;
        const backup = { ...streamOf(server), compression: 'zstd' as const };
        const cluster = { name: MAIN, backup, receive: undefined };
        const [compressed] = await setup.take({ cluster, parent: full.id });
        // Else it would say that the server cannot.
        expect(setup.warnings.slice(said).filter((warning) => /zstd|compress/.test(warning))).toEqual([]);
        expect(compressed!.facts?.parent).toBe(full.id);
        restored = await restore(compressed!);
        const rows = 'select count(*), sum(hashtextextended(r::text, 0)::numeric) from rows r';
        expect(await restored.query(rows)).toEqual(await server.query(rows));
        expect(await checkIndexes(restored)).toBeGreaterThan(100);
      },
      180_000,
    );

    it('is in every repository that the new one goes to', async () => {
      const both = await take();
      const alone = await take(undefined, [near]);
      expect((await take('newest')).facts?.parent).toBe(both.id);
      expect((await take(alone.id, [near])).facts?.parent).toBe(alone.id);
      expect(await errorCode(take(alone.id))).toBe('BACKUP_INVALID');
      const before = (await setup.deps.catalog.backups(MAIN)).length;
      await far.driver.remove(backupRecordKey(MAIN, both.id));
      expect(await errorCode(take(both.id))).toBe('STORAGE_OBJECT_MISSING');
      expect(await setup.deps.catalog.backups(MAIN)).toHaveLength(before);
    }, 180_000);

    it('must still be there when the backup is done', async () => {
      const parent = await take();
      const cluster = { name: MAIN, backup: streamOf(setup.server), receive: undefined };
      const onProgress = ({ phase }: { readonly phase: string }): void => {
        if (phase === 'storing the last packs') void near.driver.remove(backupRecordKey(MAIN, parent.id));
      };
      expect(await errorCode(setup.take({ cluster, parent: parent.id }, { onProgress }))).toBe(
        'STORAGE_OBJECT_MISSING',
      );
      const left = (await setup.deps.catalog.backups(MAIN)).filter(({ facts }) => facts?.parent === parent.id);
      expect(left).toEqual([]);
    }, 120_000);

    it('may be of the timeline before, up to where the server has left it', async () => {
      const { server, archive, deps, identity } = setup;
      await server.query("update rows set text = 'before' where i <= 10");
      const before = await take();
      // What is archived is not enough to begin from: it goes on from its own pg_wal.
      await server.stop();
      writeFileSync(join(server.dataDirectory, 'standby.signal'), '');
      await server.start('accepting');
      await server.query('select pg_promote()');
      await until(async () => (await server.value('select pg_is_in_recovery()::text')) === 'false', {
        what: 'promotion',
      });
      await server.query("update rows set text = 'after' where i <= 5");
      const after = await take('newest');
      expect([after.facts?.timeline, after.facts?.parent]).toEqual([2, before.id]);
      const history = '00000002.history';
      await until(() => readdirSync(archive).includes(history), { what: 'the history to be archived' });
      const file = parseWalName(history);
      for (const repository of deps.repositories) {
        await deps.catalog.recordWalFile({
          ...{ repository: repository.name, cluster: MAIN, name: file.name, kind: 'history', timeline: file.timeline },
          ...{ segment: undefined, key: walKey(MAIN, file), plainBytes: 1, storedBytes: 1, index: undefined },
          ...{ sha256: 'a'.repeat(64) as Sha256Hex, archivedAt: after.startedAt },
          history: readFileSync(join(archive, history), 'utf8'),
        });
      }
      expect(identity.majorVersion).toBe(version);
      restored = await restore(after);
      const counts = "select text, count(*) from rows where text in ('before', 'after') group by 1 order by 1";
      expect(await restored.query(counts)).toEqual(await server.query(counts));
      expect(await checkIndexes(restored)).toBeGreaterThan(100);
    }, 180_000);

    it('is not taken for whole: corrupt pages of an increment are named by file and block', async () => {
      const { server } = setup;
      await server.query("create table broken as select i, repeat('x', 500) as text from generate_series(1, 40000) i");
      const full = await take();
      // More blocks than one frame holds, and fewer than make the server send the file whole.
      await server.query("update broken set text = repeat('y', 500) where i between 10001 and 30000");
      await server.query('checkpoint');
      const sound = await take('newest');
      restored = await restore(sound);
      const rows = 'select count(*), sum(hashtextextended(b::text, 0)::numeric) from broken b';
      expect(await restored.query(rows)).toEqual(await server.query(rows));
      const path = await server.value(`select pg_relation_filepath('broken')`);
      const block = Number(await server.value('select (ctid::text::point)[0] from broken where i = 29000'));
      await server.stop();
      const file = openSync(join(server.dataDirectory, path), 'r+');
      writeSync(file, Buffer.from('not what was written'), 0, 20, block * 8192 + 4000);
      closeSync(file);
      await server.start();
      const record = await take(full.id);
      expect(record.facts?.corruptPages).toEqual([{ path, blocks: [block] }]);
      await server.query('drop table broken');
      await server.query('checkpoint');
      expect((await take('newest')).facts?.corruptPages).toEqual([]);
    }, 240_000);
  },
);
