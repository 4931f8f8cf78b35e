import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackupDocument, JobDocument } from '../../src/service/api.ts';
import { archiveNow } from '../support/archiving.ts';
import { startRestored, type TestServer } from '../support/postgres-server.ts';
import { newDirectory } from '../support/sandbox.ts';
import { freshTarget, leaveMark, restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { damage, packObjects, segmentObject } from '../support/stored.ts';
import { testedVersions } from '../support/tested-versions.ts';
import { runProgram } from '../support/walden.ts';

const PAGE_BYTES = 8192;

describe.each(testedVersions)('damage, PostgreSQL %i', (version) => {
  let scene: Scene;
  beforeAll(async () => {
    const walden = { clusterSettings: ['wal_fetch_timeout = 4'] };
    scene = await startScene({ version, initdbArguments: ['-k'], walden });
  });
  afterAll(() => scene.dispose());

  async function takeBackup(): Promise<BackupDocument> {
    const { job } = (await scene.walden.json('backup', 'main')) as { readonly job: JobDocument };
    const { backups } = job.result as { readonly backups: readonly BackupDocument[] };
    return backups[0]!;
  }

  it('a corrupt page of the running server is named in the backup, which is kept', async () => {
    const { server, walden } = scene;
    await server.query('create table rotten as select i, repeat($1, 100) from generate_series(1, 2000) i', ['x']);
    const path = await server.value("select pg_relation_filepath('rotten')");
    await server.query('checkpoint');
    await flipBytes(join(server.dataDirectory, path), 3);
    const backup = await takeBackup();
    expect(backup.state).toBe('complete');
    expect(backup.facts).toMatchObject({ checksumsVerified: true, corruptPages: [{ path, blocks: [3] }] });
    expect(await walden.run('show', 'main', backup.id)).toContain(path);
    expect(await walden.log()).toContain(path);
    await server.query('drop table rotten');
    await server.query('checkpoint');
    expect((await takeBackup()).facts).toMatchObject({ corruptPages: [] });
  });

  it('a restore from a damaged pack fails by name, and what it leaves cannot be started but can be begun again', async () => {
    const { walden } = scene;
    const backup = await takeBackup();
    const [pack] = packObjects(walden, backup.id);
    await damage(pack!);
    const to = freshTarget();
    const outcome = await walden.attempt('restore', 'main', '--to', to, '--backup', backup.id);
    expect(outcome.status).toBe(30);
    expect(existsSync(join(to, 'global/pg_control'))).toBe(false);
    await expect(startRestored(to, { version })).rejects.toThrow(/the server ended/);
    await damage(pack!);
    await walden.run('restore', 'main', '--to', to, '--backup', backup.id);
    await (await startRestored(to, { version })).dispose();
  });

  it('a damaged segment is never handed out, and recovery stops rather than end early', async () => {
    const { server, walden } = scene;
    await takeBackup();
    await leaveMark(server, 'before');
    const segment = await archiveNow(server);
    await leaveMark(server, 'after');
    await archiveNow(server);
    await damage(segmentObject(walden, segment));
    const directory = newDirectory('fetch');
    const { restoreCommand } = await walden.commandSettings();
    const command = restoreCommand.replace('%f', segment).replace('%p', 'here');
    const fetched = await runProgram('/bin/sh', ['-c', command], { cwd: directory });
    expect(fetched.status).toBeGreaterThan(125);
    expect(existsSync(join(directory, 'here'))).toBe(false);

    const to = freshTarget();
    const restored = await walden.attempt('restore', 'main', '--to', to);
    if (restored.status === 0) await expect(startRestored(to, { version })).rejects.toThrow(/the server ended/);
    await damage(segmentObject(walden, segment));
    const sound = await restoreAndStart(scene, []);
    expect(await markCount(sound)).toBe('2');
    await sound.dispose();
  });
});

/** Writes nonsense into the middle of a page, as a bad disk would: neither PostgreSQL nor its cache notices. */
async function flipBytes(path: string, block: number): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(Buffer.from('rotten bytes'), 0, 12, block * PAGE_BYTES + PAGE_BYTES / 2);
  await file.close();
}

async function markCount(server: TestServer): Promise<string> {
  return await server.value("select count(*) from marks where mark in ('before', 'after')");
}
