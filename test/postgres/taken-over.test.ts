import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackupListDocument } from '../../src/service/api.ts';
import { archiveNow } from '../support/archiving.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { startLoad } from '../support/load.ts';
import { startRestored } from '../support/postgres-server.ts';
import { assertSound, freshTarget, leaveMark, marksOf, type Scene, startScene } from '../support/scene.ts';
import { type Rgw, startRgw, whyNoRgw } from '../support/stores/rgw.ts';
import { clientOf, S3Scene } from '../support/stores/s3-scene.ts';
import { sectionOf } from '../support/stores/store-under-test.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';

/** What the service is allowed, as docs/protection.md says: nothing is removed, replaced for good or shortened with it. */
const OBJECTS = ['PutObject', 'GetObject', 'PutObjectRetention', 'GetObjectRetention', 'GetObjectVersion'];
const BUCKET = ['ListBucket', 'ListBucketVersions', 'GetBucketVersioning', 'GetBucketObjectLockConfiguration'];
const whyNot = whyNoRgw();

describe.skipIf(whyNot !== undefined)(whyNot ?? 'a host that somebody takes over', () => {
  let store: S3Scene<Rgw>;
  let scene: Scene;
  let guest: S3Client;
  let credentialsFile: string;
  let before: unknown;
  let moment: Date;
  beforeAll(async () => {
    store = await S3Scene.start(startRgw, { objectLock: true });
    const { server } = store;
    await store.allow(server.guest.principal, OBJECTS, BUCKET);
    guest = clientOf(server, server.guest);
    credentialsFile = store.credentialsFile(server.guest);
    const options = { driver: 's3', ...store.options(), credentialsFile } as const;
    const far = [...sectionOf(options), 'object_lock = "compliance 14 days"'];
    scene = await startScene({ version: newestVersion, walden: { repositories: ['far'], stores: { far } } });
  });
  afterAll(async () => {
    await scene.dispose();
    guest.destroy();
    await store.end();
  });

  it('has archived and backed up with credentials that cannot remove anything', async () => {
    const { server, walden } = scene;
    const load = await startLoad(server);
    await load.advance(100);
    await walden.run('backup', 'main');
    await load.advance(100);
    await load.stop();
    const check = await walden.run('repository', 'check', 'far');
    expect(check).toMatch(/^delete +STORAGE_DENIED/m);
    expect(check).toContain('delete: not allowed');
  });

  it('goes on with backups behind what a failed one left and may not be removed, and says so once', async () => {
    const { walden } = scene;
    const command = new ListObjectsV2Command({ Bucket: store.bucket });
    const claims = async (): Promise<number> =>
      ((await store.client.send(command)).Contents ?? []).filter(({ Key }) => Key?.endsWith('/claim.json')).length;
    const failed = walden.launch('backup', 'main');
    await until(async () => (await claims()) === 2, { what: 'a second backup' });
    await walden.kill();
    await failed.outcome;
    await walden.start();
    await walden.run('backup', 'main');
    const told = (await walden.log()).match(/what a failed backup left stays for now.*locked until \d{4}-/g);
    expect(told).toHaveLength(1);
    const { backups } = (await walden.json('list', 'main')) as BackupListDocument;
    expect(backups.map(({ state }) => state)).toEqual(['complete', 'removing', 'complete']);
  });

  it('is left by its server, of which the store holds everything', async () => {
    const { server, walden } = scene;
    await leaveMark(server, 'kept');
    await archiveNow(server);
    before = await fingerprint(server);
    await server.stop();
    expect(await walden.json('wal', 'gaps', 'main')).toMatchObject({ gaps: [] });
    await walden.stop();
  });

  it('has locked every WAL file and every object of the backup, and nothing that is temporary', async () => {
    const versions = await store.versions('', guest);
    const isTemporary = (name: string): boolean => /\/\.(claims|walden-check|walden-probe)\b/.test(name);
    const main = versions.filter(({ name }) => !isTemporary(name));
    expect(main.some(({ name }) => name.includes('/main/wal/'))).toBe(true);
    expect(main.some(({ name }) => name.includes('/main/base/') && name.endsWith('/backup.json'))).toBe(true);
    const tomorrow = Date.now() + 13 * 24 * 3600 * 1000;
    for (const { name, mode, until } of main) {
      expect([name, mode, (until?.getTime() ?? 0) > tomorrow]).toEqual([name, 'COMPLIANCE', true]);
    }
    const temporary = versions.filter(({ name }) => isTemporary(name));
    expect(temporary.length).toBeGreaterThan(0);
    expect(temporary.filter(({ until }) => until !== undefined)).toEqual([]);
  });

  it('shows nothing any more when everything was removed', async () => {
    const now = Date.now();
    await until(() => Date.now() > now + 2, { what: 'the next moment' });
    moment = new Date(now + 1);
    expect(await store.removeAll()).toBeGreaterThan(10);
    const { walden } = scene;
    expect(await walden.attempt('list', 'main', '--repository', 'far')).toMatchObject({ status: 20 });
    expect(await walden.run('repository', 'ls', 'far')).toBe('');
  });

  it('is restored from before that, without a service', async () => {
    const { walden, server } = scene;
    const past = ['--repository', 'far', '--as-of', moment.toISOString()];
    const list = (await walden.json('list', 'main', ...past)) as BackupListDocument;
    expect(list.backups.map(({ state }) => state)).toEqual(['complete', 'failed', 'complete']);
    await walden.run('plan', 'main', ...past);
    expect(await walden.run('repository', 'ls', 'far', 'main/wal/', ...past.slice(2))).toContain('.zst');

    const to = freshTarget();
    await walden.run('restore', 'main', '--to', to, ...past);
    const settings = readFileSync(join(to, 'postgresql.auto.conf'), 'utf8');
    expect(settings).toContain(`--repository far --as-of ${moment.toISOString()}`);
    expect(settings).not.toContain(store.server.guest.secretKey);
    const restored = await startRestored(to, { version: server.version });
    await assertSound(restored);
    expect(await fingerprint(restored)).toEqual(before);
    expect(await marksOf(restored)).toEqual(['kept']);
    await restored.dispose();
  });
});
