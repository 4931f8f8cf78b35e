import { copyFileSync, chmodSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackupListDocument, JobDocument, PlanDocument, StatusDocument } from '../../src/service/api.ts';
import type { VerificationListDocument } from '../../src/service/api-proof.ts';
import type { VerifyResult } from '../../src/verify/verify-deps.ts';
import { archiveNow } from '../support/archiving.ts';
import { freshTarget, leaveMark, type Scene, startScene } from '../support/scene.ts';
import { damage, filesBelow, segmentObject } from '../support/stored.ts';
import { newestVersion } from '../support/tested-versions.ts';
import type { Outcome } from '../support/walden.ts';

describe('verifying two repositories', () => {
  let scene: Scene;
  let backup: string;
  const segments: string[] = [];
  beforeAll(async () => {
    scene = await startScene({
      version: newestVersion,
      initdbArguments: ['--wal-segsize=1'],
      walden: { repositories: ['near', 'far'] },
    });
    backup = await takeBackup();
    for (const mark of ['a', 'b', 'c', 'd']) {
      await leaveMark(scene.server, mark);
      segments.push(await archiveNow(scene.server));
    }
    unshare();
  });
  afterAll(() => scene.dispose());

  /** Two repositories on one file system share their files: what is damaged in one would be in the other. */
  function unshare(): void {
    const root = join(scene.walden.repositoryPath('near'), 'main');
    for (const file of filesBelow(root)) {
      const path = join(root, file);
      copyFileSync(path, `${path}.own`);
      renameSync(`${path}.own`, path);
    }
  }

  async function takeBackup(): Promise<string> {
    const { job } = (await scene.walden.json('backup', 'main')) as { readonly job: JobDocument };
    return (job.result as { readonly backups: readonly { readonly id: string }[] }).backups[0]!.id;
  }

  async function verify(...words: readonly string[]): Promise<VerifyResult> {
    return ((await scene.walden.json('verify', 'main', ...words)) as { readonly result: VerifyResult }).result;
  }

  /** The result is told also where it is bad. */
  async function failing(
    ...words: readonly string[]
  ): Promise<{ readonly outcome: Outcome; readonly result: VerifyResult }> {
    const outcome = await scene.walden.attempt('verify', 'main', ...words, '--json');
    const { error } = JSON.parse(outcome.stdout) as {
      readonly error: { readonly details: { readonly result: VerifyResult } };
    };
    return { outcome, result: error.details.result };
  }

  async function plan(...words: readonly string[]): Promise<PlanDocument> {
    return (await scene.walden.json('plan', 'main', ...words)) as PlanDocument;
  }

  function pack(id: string, repository: string): string {
    const directory = join(scene.walden.repositoryPath(repository), 'main', 'base', id, 'data');
    return join(directory, filesBelow(directory)[0]!);
  }

  it('reads everything, and then knows when each object was verified', async () => {
    const before = (await scene.walden.json('status', 'main')) as StatusDocument;
    expect(before.clusters[0]!.repositories[0]!.verification).toMatchObject({ oldestAt: null, neverBackups: 1 });
    const { repositories } = await verify();
    expect(repositories).toMatchObject([
      { repository: 'near', damaged: [], holes: [], backups: 1, unusable: [], failure: null },
      { repository: 'far', damaged: [], holes: [], backups: 1, unusable: [], failure: null },
    ]);
    expect(repositories[0]!.objects).toBeGreaterThan(segments.length);
    const { verified } = (await scene.walden.json('show', 'main', '--verified')) as VerificationListDocument;
    expect(verified.length).toBeGreaterThan(0);
    expect(verified.filter(({ verifiedAt }) => verifiedAt === null)).toEqual([]);
    expect(await scene.walden.run('status', 'main')).toContain('Verified: everything, not longer than');
  });

  it('reads with a sample what was verified longest ago, until all has had its turn', async () => {
    const moments = async (): Promise<readonly string[]> => {
      const { verified } = (await scene.walden.json('show', 'main', '--verified')) as VerificationListDocument;
      return verified.map(({ verifiedAt }) => verifiedAt ?? '');
    };
    const begun = (await moments()).toSorted().at(-1)!;
    for (let round = 0; round < 2; round += 1) await verify('--sample', '50%');
    expect((await moments()).filter((moment) => moment <= begun)).toEqual([]);
    const { repositories } = await verify('--budget', '1MB', '--repository', 'near');
    expect(repositories).toHaveLength(1);
  });

  it('finds a damaged pack, marks it, and has restores use the other repository until it is repaired', async () => {
    const { walden } = scene;
    const chosen = (await plan()).repository;
    const other = chosen === 'near' ? 'far' : 'near';
    await damage(pack(backup, chosen));
    const { outcome, result } = await failing();
    expect(outcome.status).toBe(30);
    const bad = result.repositories.find(({ repository }) => repository === chosen)!;
    expect(bad.damaged.map(({ key }) => key)).toEqual([expect.stringContaining(`${backup}/data/00001`)]);
    expect(bad.unusable).toMatchObject([{ backup }]);
    expect(await walden.log()).toContain('DAMAGED: main/base/');
    expect(await walden.run('status', 'main')).toContain('DAMAGED: 1 object, not used by a restore');
    const { backups } = (await walden.json('list', 'main')) as BackupListDocument;
    expect(backups.filter(({ damaged }) => damaged !== undefined).map(({ repository }) => repository)).toEqual([
      chosen,
    ]);
    expect(await walden.run('list', 'main')).toContain('complete, DAMAGED');
    const planned = await plan();
    expect(planned.repository).toBe(other);
    expect(planned.notes.join('\n')).toContain(`not used: backup ${backup} in repository ${chosen} was found damaged`);
    await walden.run('repository', 'repair', chosen);
    expect((await plan()).repository).toBe(chosen);
    expect((await verify()).repositories.map(({ damaged }) => damaged)).toEqual([[], []]);
  });

  it('finds missing and swapped segments, and takes the marks back when they are right again', async () => {
    const { walden } = scene;
    const [first, second, third] = segments.map((segment) => segmentObject(walden, segment, 'near'));
    const aside = `${first!}.aside`;
    chmodSync(dirname(first!), 0o700);
    renameSync(first!, aside);
    const kept = join(walden.directory, 'kept');
    copyFileSync(second!, kept);
    chmodSync(second!, 0o600);
    copyFileSync(third!, second!);
    // Also when next to nothing is read: what is missing is seen in the listing, of the other only its turn tells.
    const sample = await failing('--sample', '0.001%', '--repository', 'near');
    expect(sample.result.repositories[0]!.damaged.map(({ key }) => key)).toEqual([
      expect.stringContaining(segments[0]!),
    ]);
    const { outcome, result } = await failing('--repository', 'near');
    expect(outcome.status).toBe(30);
    expect(result.repositories[0]!.damaged.map(({ key }) => key)).toEqual([
      expect.stringContaining(segments[0]!),
      expect.stringContaining(segments[1]!),
    ]);
    expect(result.repositories[0]!.damaged[1]!.message).toContain(`holds ${segments[2]!}`);
    const { clusters } = (await walden.json('status', 'main')) as StatusDocument;
    const near = clusters[0]!.repositories.find(({ name }) => name === 'near')!;
    expect(near.windows.at(-1)!.latestLsn).not.toBe(
      clusters[0]!.repositories.find(({ name }) => name === 'far')!.windows.at(-1)!.latestLsn,
    );
    renameSync(aside, first!);
    copyFileSync(kept, second!);
    const again = await verify('--repository', 'near', '--sample', '0.001%');
    expect(again.repositories[0]!.rightAgain).toHaveLength(2);
    expect(await walden.run('status', 'main')).not.toContain('DAMAGED');
  });

  it('leads a restore to an older backup, and to a damaged one only by its name, saying so', async () => {
    const { walden } = scene;
    const newer = await takeBackup();
    await archiveNow(scene.server);
    unshare();
    expect((await plan()).backup.id).toBe(newer);
    for (const repository of ['near', 'far']) await damage(pack(newer, repository));
    await failing('--backup', newer);
    const planned = await plan();
    expect(planned.backup.id).toBe(backup);
    expect(planned.notes.join('\n')).toContain(`not used: backup ${newer}`);
    const named = await plan('--backup', newer);
    expect(named.notes[0]).toMatch(new RegExp(`^DAMAGED: backup ${newer} in repository \\w+ was found damaged at`));
    for (const repository of ['near', 'far']) await damage(pack(backup, repository));
    await failing();
    const refused = await walden.attempt('restore', 'main', '--to', freshTarget());
    expect(refused.status).toBe(50);
    expect(refused.stderr).toContain('only what was found damaged could serve it: backup');
    expect(refused.stderr).toContain('HINT: if another repository has good copies: walden repository repair');
    for (const id of [backup, newer]) for (const repository of ['near', 'far']) await damage(pack(id, repository));
    await verify();
    expect((await plan()).backup.id).toBe(newer);
  });

  it('says what it cannot do', async () => {
    const { walden } = scene;
    expect((await walden.attempt('verify', 'main', '--repository', 'none')).status).toBe(5);
    expect((await walden.attempt('verify', 'main', '--backup', '20200101T000000F')).status).toBe(5);
    expect((await walden.attempt('verify', 'main', '--sample', '5%', '--budget', '1GB')).status).toBe(2);
    expect((await walden.attempt('verify', 'main', '--sample', '0%')).status).toBe(2);
  });
});
