import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackupListDocument, StatusDocument, WalGapsDocument } from '../../src/service/api.ts';
import type { ExpiryPlanDocument } from '../../src/service/retention-api.ts';
import { archiveNow, serverTime } from '../support/archiving.ts';
import { leaveMark, marksOf, restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { appendConfiguration } from '../support/walden.ts';

/** Four backups of a real server, of which two stay by the policy and one by a hold. */
describe('walden expire', () => {
  let scene: Scene;
  const ids: string[] = [];
  /** Just after the mark of the same name. */
  const moments = new Map<string, string>();

  async function mark(name: string): Promise<void> {
    await leaveMark(scene.server, name);
    moments.set(name, await serverTime(scene.server));
    // A moment can be named only with a commit behind it.
    await leaveMark(scene.server, `behind ${name}`);
    await archiveNow(scene.server);
  }

  async function complete(): Promise<readonly string[]> {
    const { backups } = (await scene.walden.json('list', 'main')) as BackupListDocument;
    return backups.filter(({ state }) => state === 'complete').map(({ id }) => id);
  }

  async function gaps(): Promise<WalGapsDocument['gaps']> {
    return ((await scene.walden.json('wal', 'gaps', 'main')) as WalGapsDocument).gaps;
  }

  /** From the oldest backup that is kept, and to a moment of the window. */
  async function assertRestores(): Promise<void> {
    const oldest = await restoreAndStart(scene, ['--backup', ids[0]!, '--immediate', '--action', 'promote']);
    expect(await marksOf(oldest)).toEqual(['behind first', 'first']);
    await oldest.dispose();
    const within = await restoreAndStart(scene, ['--time', moments.get('fourth')!, '--action', 'promote']);
    expect(await marksOf(within)).toContain('fourth');
    expect(await marksOf(within)).not.toContain('behind fourth');
    await within.dispose();
    const { status, stderr } = await scene.walden.attempt('plan', 'main', '--time', moments.get('second')!);
    expect({ status, isSaid: /removed by retention/.test(stderr) }).toEqual({ status: 51, isSaid: true });
  }

  /** By the service, or by the repository alone. */
  async function assertKept(how: 'online' | 'offline'): Promise<void> {
    const { walden } = scene;
    const where = how === 'online' ? [] : ['--repository-path', walden.repositoryPath()];
    const { backups } = (await walden.json('list', 'main', ...where)) as BackupListDocument;
    expect(backups.map(({ kept }) => kept)).toEqual(
      backups.map(({ id }) => (id === ids[0] ? { until: null, reason: 'an audit' } : undefined)),
    );
    expect(await walden.run('show', 'main', ids[0]!, ...where)).toMatch(/^Kept: +until it is released: an audit$/m);
  }

  beforeAll(async () => {
    scene = await startScene({ version: newestVersion, initdbArguments: ['--wal-segsize=1'] });
    const { walden } = scene;
    await walden.stop();
    await appendConfiguration(walden, ['[retention.all]', 'cluster = "main"', 'minimum_backups = 2']);
    await walden.start();
    for (const name of ['first', 'second', 'third', 'fourth']) {
      await mark(name);
      await walden.run('backup', 'main');
      ids.push((await complete()).at(-1)!);
      await archiveNow(scene.server);
    }
    // Between the third backup and the fourth: what is planned must not begin with the fourth.
    await mark('last');
  });
  afterAll(() => scene.dispose());

  it('says what would go, and why each thing stays, without touching it', async () => {
    const { walden } = scene;
    expect(await walden.run('keep', 'main', ids[0]!, '--reason', 'an audit')).toContain(
      'until it is released in local: an audit',
    );
    await assertKept('online');
    mkdirSync(join(walden.repositoryPath(), 'main', 'notes'));
    writeFileSync(join(walden.repositoryPath(), 'main', 'notes', 'mine.txt'), 'mine');
    const plan = (await walden.json('expire', 'main', '--dry-run')) as ExpiryPlanDocument;
    const [{ goes, stays, unknown }] = plan.repositories as [ExpiryPlanDocument['repositories'][0]];
    expect(goes.backups.map(({ id }) => id)).toEqual([ids[1]]);
    expect(stays.backups.map(({ id, reasons }) => [id, reasons.at(-1)])).toEqual([
      [ids[0], 'held: an audit'],
      [ids[2], 'one of the newest 2 full backups'],
      [ids[3], 'one of the newest 2 full backups'],
    ]);
    expect(unknown).toEqual({ keys: ['main/notes/mine.txt'], count: 1 });
    const text = await walden.run('expire', 'main', '--at', '2099-01-01 00:00Z');
    expect(text).toContain('nothing was removed now');
    expect(text).toContain('point-in-time recovery from');
    expect(await complete()).toEqual(ids);
    expect((await walden.attempt('expire', 'main', '--at', '2020-01-01 00:00Z')).status).toBe(2);
  });

  it('removes what it said, and leaves no hole', async () => {
    const { walden } = scene;
    expect(await walden.run('expire', 'main')).toMatch(
      new RegExp(`removed 1 backup, [1-9][0-9]* WAL files\n  ${ids[1]!}\n`),
    );
    expect(await complete()).toEqual([ids[0], ids[2], ids[3]]);
    expect(await gaps()).toEqual([]);
    const { clusters } = (await walden.json('status')) as StatusDocument;
    expect(clusters[0]?.repositories[0]?.windows).toMatchObject([
      { backup: ids[2], holes: [], points: [{ backup: ids[0] }] },
    ]);
    expect(await walden.run('expire', 'main')).toContain('there was nothing to remove');
  });

  it('leaves everything that it keeps to be restored', assertRestores);

  it('knows the same when the catalog is lost, and restores the same', async () => {
    const { walden } = scene;
    await walden.stop();
    rmSync(walden.stateDirectory, { recursive: true });
    mkdirSync(walden.stateDirectory);
    await walden.start();
    await until(async () => ((await walden.json('status')) as StatusDocument).catalogRebuild === null, {
      what: 'the catalog to be rebuilt',
      explain: () => walden.log(),
    });
    expect(await gaps()).toEqual([]);
    const plan = (await walden.json('expire', 'main', '--dry-run')) as ExpiryPlanDocument;
    expect(plan.repositories[0]).toMatchObject({ goes: { backups: [], wal: [] } });
    await assertRestores();
    await assertKept('online');
    await assertKept('offline');
    expect(await walden.run('release', 'main', ids[0]!)).toContain('is released in local');
    expect(await walden.run('list', 'main')).not.toContain('kept');
    const expiry = async (...words: string[]): Promise<ExpiryPlanDocument['repositories'][0]> => {
      const { repositories } = (await walden.json('expire', 'main', ...words)) as ExpiryPlanDocument;
      return repositories[0]!;
    };
    // The servers that were restored just now may still recover, for all that the service knows.
    const { stays } = await expiry('--dry-run');
    expect(stays.backups.find(({ id }) => id === ids[0])?.reasons).toEqual([
      'restored lately: its recovery may still ask for WAL',
    ]);
    const { goes } = await expiry('--at', new Date(Date.now() + 3 * 86_400_000).toISOString());
    expect(goes.backups.map(({ id }) => id)).toEqual([ids[0]]);
  });
});
