import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackupDocument, BackupListDocument, JobDocument, PlanDocument } from '../../src/service/api.ts';
import { archiveNow } from '../support/archiving.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { startLoad } from '../support/load.ts';
import { startRestored, type TestServer } from '../support/postgres-server.ts';
import { newDirectory } from '../support/sandbox.ts';
import { assertSound, freshTarget, leaveMark, marksOf, type Scene, startScene } from '../support/scene.ts';
import { damage, packObjects } from '../support/stored.ts';
import { testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { runProgram } from '../support/walden.ts';

/** PostgreSQL's own program of the same version, to compare with; see CONTRIBUTING.md. */
const COMBINE = process.env['WALDEN_TEST_PG_COMBINEBACKUP'];
const STREAM = ['backup_source = "stream"'];

const able = testedVersions.filter((version) => version >= 17);
const unable = testedVersions.filter((version) => version < 17);

async function take(scene: Scene, ...words: readonly string[]): Promise<BackupDocument> {
  const { job } = (await scene.walden.json('backup', 'main', ...words)) as { readonly job: JobDocument };
  const { backups } = job.result as { readonly backups: readonly BackupDocument[] };
  return backups[0]!;
}

async function listed({ walden }: Scene): Promise<readonly BackupDocument[]> {
  return ((await walden.json('list', 'main')) as BackupListDocument).backups;
}

describe.runIf(unable.length > 0).each(unable)('an incremental backup of PostgreSQL %i', (version) => {
  it('is refused, and no full one is taken instead', async () => {
    const scene = await startScene({ version, walden: { clusterSettings: STREAM } });
    await take(scene);
    const { status, stderr } = await scene.walden.attempt('backup', 'main', '--incremental');
    expect([status, stderr]).toEqual([13, expect.stringContaining('takes no incremental backups')]);
    expect(await listed(scene)).toHaveLength(1);
    await scene.dispose();
  }, 120_000);
});

describe.runIf(able.length > 0).each(able)('incremental backups of PostgreSQL %i', (version) => {
  let scene: Scene;
  let space: string;
  beforeAll(async () => {
    const settings = { summarize_wal: 'on' };
    scene = await startScene({
      ...{ version, settings, initdbArguments: ['-k'] },
      walden: { clusterSettings: STREAM },
    });
    space = join(newDirectory('ts'), 'space');
    mkdirSync(space);
    const { server } = scene;
    await server.query(`create tablespace space location '${space}'`);
    await server.query(`
      create table grown as select i, repeat('grown ', 20) as text from generate_series(1, 20000) i;
      create table shrunk as select i, repeat('shrunk ', 20) as text from generate_series(1, 20000) i;
      create table rewritten as select i, repeat('rewritten ', 20) as text from generate_series(1, 20000) i;
      create table dropped as select i from generate_series(1, 1000) i;
      create table cut as select i from generate_series(1, 20000) i;
      create table far tablespace space as select i, repeat('far ', 20) as text from generate_series(1, 20000) i;
      create table still as select i, repeat('still ', 20) as text from generate_series(1, 20000) i;
      create index on grown (i); create index on far (i) tablespace space;`);
  }, 120_000);
  afterAll(() => scene.dispose());

  async function restored(to: string, words: readonly string[]): Promise<TestServer> {
    const map = ['--tablespace-map', `${space}=${join(newDirectory('ts'), 'elsewhere')}`];
    await scene.walden.run('restore', 'main', '--to', to, ...map, ...words);
    const node = await startRestored(to, { version });
    await assertSound(node);
    return node;
  }

  it('give back what the cluster was, from each of a chain, at its end and between', async () => {
    const { server } = scene;
    const full = await take(scene);
    const load = await startLoad(server);
    await load.advance(50);
    await server.query("insert into grown select i, 'more' from generate_series(1, 5000) i");
    await server.query('delete from shrunk where i > 5000');
    await server.query('vacuum shrunk');
    await server.query('vacuum full rewritten');
    await server.query('drop table dropped');
    await server.query("update far set text = 'changed' where i % 100 = 0");
    const first = await take(scene, '--incremental');
    expect([first.id.at(-1), first.facts?.parent]).toEqual(['I', full.id]);
    await leaveMark(server, 'between');
    await server.query('truncate cut');
    await server.query('insert into cut values (7)');
    await server.query('create table created as select i from generate_series(1, 5000) i');
    await server.query("insert into shrunk select i, 'back' from generate_series(1, 300) i");
    await load.advance(50);
    const second = await take(scene, '--incremental');
    expect(second.facts?.parent).toBe(first.id);
    await load.stop();
    await leaveMark(server, 'end');
    await archiveNow(server);

    const plan = (await scene.walden.json('plan', 'main')) as PlanDocument;
    expect([plan.backup.id, plan.chain]).toEqual([second.id, [first.id, full.id]]);
    for (const words of [[], ['--backup', first.id], ['--backup', full.id]]) {
      const node = await restored(freshTarget(), words);
      expect(await fingerprint(node)).toEqual(await fingerprint(server));
      await node.dispose();
    }
    const xid = await server.value(`select xmin from marks where mark = 'between'`);
    const node = await restored(freshTarget(), ['--xid', xid, '--backup', first.id, '--action', 'promote']);
    expect(await marksOf(node)).toEqual(['between']);
    expect(await node.value('select count(*) from cut')).toBe('20000');
    await node.dispose();
  }, 300_000);

  it('are much smaller than a full one where little has changed, and can begin at one that is named', async () => {
    const [full, first, second] = await listed(scene);
    const third = await take(scene, '--incremental', '--label', 'third in a row');
    expect(third.facts?.parent).toBe(second!.id);
    expect(third.facts!.storedBytes).toBeLessThan(full!.facts!.storedBytes / 4);
    const beside = await take(scene, '--incremental', '--parent', first!.id);
    expect(beside.facts?.parent).toBe(first!.id);
    const node = await restored(freshTarget(), ['--backup', beside.id]);
    await node.dispose();
  }, 120_000);

  it('open with zstd and tar, as pg_combinebackup takes them', async () => {
    const { walden } = scene;
    const { id } = (await listed(scene)).at(-1)!;
    const out = newDirectory('out');
    const data = packObjects(walden, id).join(' ');
    execFileSync('sh', ['-c', `cat ${data} | zstd -dc | tar -xi -C ${out}`]);
    expect(readFileSync(join(out, 'backup_label'), 'utf8')).toContain('INCREMENTAL FROM LSN');
    const manifest = readFileSync(join(out, 'backup_manifest'), 'utf8');
    const [name] = /base\/\d+\/INCREMENTAL\.\d+/.exec(manifest) ?? [];
    expect(existsSync(join(out, name!))).toBe(true);
  });

  it('are known to a catalog that is built anew', async () => {
    const before = await listed(scene);
    const { job } = (await scene.walden.json('catalog', 'rebuild')) as { readonly job: JobDocument };
    expect(job.result).toMatchObject({ differences: [] });
    expect(await listed(scene)).toEqual(before);
    expect(await scene.walden.run('list', 'main')).toContain('BUILDS ON');
    const { walden } = scene;
    const alone = ['--repository-path', walden.repositoryPath(), '--backup', before[1]!.id];
    const plan = (await walden.json('plan', 'main', ...alone)) as PlanDocument;
    expect(plan.chain).toEqual([before[0]!.id]);
  }, 60_000);

  it('cannot be restored where a parent is damaged, which is named, and can be once it is right again', async () => {
    const { walden } = scene;
    const [full, first] = await listed(scene);
    const [pack] = packObjects(walden, full!.id);
    await damage(pack!);
    const to = freshTarget();
    const map = ['--tablespace-map', `${space}=${join(newDirectory('ts'), 'elsewhere')}`];
    const outcome = await walden.attempt('restore', 'main', '--to', to, '--backup', first!.id, ...map);
    expect([outcome.status, outcome.stderr]).toEqual([30, expect.stringContaining(full!.id)]);
    expect(existsSync(join(to, 'global/pg_control'))).toBe(false);
    await damage(pack!);
    await (await restored(to, ['--backup', first!.id])).dispose();
    const record = join(pack!, '../../backup.json');
    renameSync(record, `${record}.away`);
    const lost = await walden.attempt('restore', 'main', '--to', freshTarget(), '--backup', first!.id, ...map);
    expect(lost.stderr).toContain(full!.id);
    expect((await walden.attempt('backup', 'main', '--incremental', '--parent', full!.id)).status).toBe(22);
    renameSync(`${record}.away`, record);
  }, 120_000);

  it('are refused without a backup to build on, and without WAL summaries, and leave nothing', async () => {
    const { server, walden } = scene;
    const before = await listed(scene);
    const unknown = await walden.attempt('backup', 'main', '--incremental', '--parent', '20200101T000000F');
    expect(unknown.status).toBe(50);
    expect((await walden.attempt('backup', 'main', '--parent', before[0]!.id)).status).toBe(2);
    await server.query('alter system set summarize_wal = off');
    await server.query('select pg_reload_conf()');
    await until(async () => (await server.value('show summarize_wal')) === 'off', { what: 'summarize_wal to be off' });
    const { status, stderr } = await walden.attempt('backup', 'main', '--incremental');
    expect([status, stderr]).toEqual([13, expect.stringContaining('summarize_wal is off')]);
    // With a gap in what was summarized the server says so itself.
    await server.query('create table unsummarized as select i from generate_series(1, 1000) i');
    await server.query('checkpoint');
    for (const file of ['pg_wal/summaries']) rmSync(join(server.dataDirectory, file), { recursive: true });
    mkdirSync(join(server.dataDirectory, 'pg_wal/summaries'), { mode: 0o700 });
    await server.query('alter system set summarize_wal = on');
    await server.query('select pg_reload_conf()');
    await until(async () => (await server.value('show summarize_wal')) === 'on', { what: 'summarize_wal to be on' });
    const gone = await walden.attempt('backup', 'main', '--incremental', '--parent', before[0]!.id);
    expect([gone.status, gone.stderr]).toEqual([13, expect.stringContaining('wal_summary_keep_time')]);
    const now = (await listed(scene)).filter(({ state }) => state === 'complete');
    expect(now.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
    const full = await take(scene);
    expect((await take(scene, '--incremental')).facts?.parent).toBe(full.id);
  }, 120_000);

  it('that are killed with the service leave nothing, and the next one builds on what is whole', async () => {
    const { server, walden } = scene;
    const whole = (await listed(scene)).at(-1)!;
    // Enough that the sender is seen at work.
    await server.query("create table much as select i, repeat('much ', 200) as text from generate_series(1, 60000) i");
    const started = walden.attempt('backup', 'main', '--incremental');
    const senders = "select count(*) from pg_stat_replication where application_name = 'walden_backup'";
    await until(async () => (await server.value(senders)) !== '0', { what: 'the sender', everyMs: 5 });
    await walden.kill();
    expect((await started).status).not.toBe(0);
    await walden.start();
    const next = await take(scene, '--incremental');
    expect(next.facts?.parent).toBe(whole.id);
    expect((await listed(scene)).filter(({ state }) => state !== 'complete')).toEqual([]);
    await archiveNow(server);
    const node = await restored(freshTarget(), []);
    expect(await fingerprint(node)).toEqual(await fingerprint(server));
    await node.dispose();
  }, 180_000);

  it.runIf(COMBINE !== undefined)(
    'make what pg_combinebackup makes of them, byte for byte',
    async () => {
      const { walden } = scene;
      const newest = (await listed(scene)).find(({ label }) => label === 'third in a row');
      const chain: string[] = [];
      for (let next = newest; next !== undefined;) {
        const out = newDirectory('out');
        execFileSync('sh', ['-c', `cat ${packObjects(walden, next.id).join(' ')} | zstd -dc | tar -xi -C ${out}`]);
        chain.unshift(out);
        const parent: string | null | undefined = next.facts?.parent;
        next = (await listed(scene)).find(({ id }) => id === parent);
      }
      expect(chain).toHaveLength(4);
      const combined = join(newDirectory('out'), 'combined');
      const outcome = await runProgram(COMBINE!, [...chain, '-o', combined]);
      expect([outcome.status, outcome.stderr]).toEqual([0, '']);
      const to = freshTarget();
      const map = ['--tablespace-map', `${space}=${join(newDirectory('ts'), 'elsewhere')}`];
      await walden.run('restore', 'main', '--to', to, '--backup', newest!.id, '--immediate', ...map);
      const verified = await runProgram(join(dirname(COMBINE!), 'pg_verifybackup'), ['-n', to]);
      expect([verified.status, verified.stderr]).toEqual([0, '']);
      // Both wrote a manifest of their own, and Walden its settings for recovery.
      const others = ['backup_manifest', 'postgresql.auto.conf', 'recovery.signal'].map((name) => `--exclude=${name}`);
      const compared = await runProgram('diff', ['-rq', ...others, combined, to]);
      expect([compared.status, compared.stdout]).toEqual([0, '']);
    },
    120_000,
  );
});
