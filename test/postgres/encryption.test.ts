import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type DriverOptions, openDriver } from '../../storage-drivers/registry.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackupListDocument } from '../../src/service/api.ts';
import { archiveNow } from '../support/archiving.ts';
import {
  ageDecrypt,
  ageKeygen,
  currentKeyPath,
  type GeneratedKey,
  newKeyRing,
  whyNoAge,
} from '../support/encryption.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { newDirectory } from '../support/sandbox.ts';
import { startRestored } from '../support/postgres-server.ts';
import { assertSound, freshTarget, leaveMark, restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { STORE_KINDS_UNDER_TEST } from '../support/stores/all-stores.ts';
import { sectionOf, type StoreKindUnderTest, type StoreUnderTest } from '../support/stores/store-under-test.ts';
import { restoreToAMoment } from '../support/story.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { createWalden, type Outcome, type WaldenHarness } from '../support/walden.ts';

const LOCAL: StoreKindUnderTest = {
  what: 'a directory',
  driver: 'local',
  whyNot: undefined,
  start: () =>
    Promise.resolve({
      port: 0,
      options: () => ({ driver: 'local', path: newDirectory('repository') }),
      end: () => Promise.resolve(),
    }),
};
const KINDS = [LOCAL, ...STORE_KINDS_UNDER_TEST.filter(({ what }) => what === 'S3 on Ceph')];

describe.each(KINDS)('a cluster whose only repository is encrypted, on $what', (kind) => {
  const whyNot = kind.whyNot ?? whyNoAge;
  describe.skipIf(whyNot !== undefined)(whyNot ?? kind.what, () => {
    let store: StoreUnderTest;
    let options: DriverOptions;
    let section: readonly string[];
    let keyPath: string;
    let recovery: GeneratedKey;
    let scene: Scene;
    /** The store without the keys. */
    let bare: WaldenHarness;

    beforeAll(async () => {
      store = await kind.start();
      options = store.options();
      section = sectionOf(options);
      recovery = ageKeygen(newDirectory('recovery'), 'recovery.key');
      const keys = await newKeyRing([recovery.recipient]);
      keyPath = await currentKeyPath(keys);
      const encryption = [`key_directory = "${keys.options.keyDirectory}"`, `recipients = ["${recovery.recipient}"]`];
      const stores = { far: [...section, ...encryption] };
      scene = await startScene({ version: newestVersion, walden: { repositories: ['far'], stores } });
      bare = withKeys([]);
    });
    afterAll(async () => {
      await scene.dispose();
      await store.end();
    });

    /** Another service on the same store. */
    function withKeys(lines: readonly string[]): WaldenHarness {
      const { dataDirectory, conninfo } = scene.server;
      return createWalden({
        clusters: { main: { dataDirectory, conninfo } },
        repositories: ['far'],
        stores: { far: [...section, ...lines] },
      });
    }

    /** The object as it stands in the store. */
    async function stored(end: string): Promise<Buffer> {
      const lines = (await bare.run('repository', 'ls', 'far')).split('\n');
      const key = lines.map((line) => line.trim().split(/\s+/).at(-1) ?? '').find((word) => word.endsWith(end));
      const copy = join(newDirectory('copy'), 'it');
      await bare.run('repository', 'get', 'far', key!, copy);
      return readFileSync(copy);
    }

    it('passes the check', async () => {
      expect(await scene.walden.run('repository', 'check', 'far')).toMatch(/^transfer +ok/m);
    });

    it('is archived and backed up under load, and restored to a moment', async () => {
      await restoreToAMoment(scene);
    });

    it('holds nothing that is not encrypted', async () => {
      const listed = await bare.run('repository', 'ls', 'far');
      const keys = listed.split('\n').flatMap((line) => line.trim().split(/\s+/).slice(1));
      expect(keys.length).toBeGreaterThan(5);
      expect(keys.filter((key) => !key.endsWith('.age'))).toEqual([]);
      expect((await stored('main/cluster.json.age')).toString('latin1')).toMatch(
        /^age-encryption\.org\/v1\n-> X25519 /,
      );
    });

    it('has WAL and packs that the standard programs open, with the recovery key too', async () => {
      const segment = await archiveNow(scene.server);
      const object = await stored(`${segment}.zst.age`);
      for (const path of [keyPath, recovery.path]) {
        const plain = execFileSync('zstd', ['-dc'], { input: ageDecrypt(path, object), maxBuffer: 1 << 28 });
        expect(plain.equals(readFileSync(join(scene.server.dataDirectory, 'pg_wal', segment)))).toBe(true);
      }
      const pack = ageDecrypt(keyPath, await stored('.tar.zst.age'));
      const tar = execFileSync('zstd', ['-dc'], { input: pack, maxBuffer: 1 << 30 });
      expect(execFileSync('tar', ['-t'], { input: tar, encoding: 'utf8', maxBuffer: 1 << 28 })).toMatch(/^base\//m);
    });

    it('has all that the catalog says, found again without it', async () => {
      const { walden } = scene;
      const before = (await walden.json('list', 'main')) as BackupListDocument;
      await walden.run('catalog', 'rebuild');
      expect(await walden.json('list', 'main')).toEqual(before);
      expect(before.backups).toHaveLength(1);
    });

    it('is refused with another key, and without keys, and says why', async () => {
      const { options } = await newKeyRing();
      const other = withKeys([`key_directory = "${options.keyDirectory}"`]);
      for (const words of [['service'], ['repository', 'get', 'far', 'main/cluster.json']]) {
        const { status, stderr } = await other.attempt(...words);
        expect({ words, status }).toEqual({ words, status: 34 });
        expect(stderr).toMatch(/no key here opens it/);
        expect(stderr).not.toMatch(/SECRET/);
      }
      const { status, stderr } = await bare.attempt('service');
      expect(status).toBe(3);
      expect(stderr).toMatch(/repository far is encrypted, but has no key_directory/);
    });

    describe('copied into a directory', () => {
      let path: string;
      let elsewhere: WaldenHarness;
      let segment: string;
      beforeAll(async () => {
        await leaveMark(scene.server, 'in the copy');
        segment = await archiveNow(scene.server);
        path = newDirectory('copied');
        await copyStore(options, path);
        elsewhere = createWalden({ clusters: {} });
      });
      const fetching = (target: string, ...words: readonly string[]): Promise<Outcome> =>
        elsewhere.attempt('wal', 'fetch', 'main', segment, target, '--repository-path', path, ...words);

      it('answers to the recovery key alone', async () => {
        const words = ['--repository-path', path, '--key-file', recovery.path];
        const { backups } = (await elsewhere.json('list', 'main', ...words)) as BackupListDocument;
        expect(backups.map(({ state }) => state)).toEqual(['complete']);
        await elsewhere.run('show', 'main', 'latest', '--files', ...words);
        await elsewhere.run('plan', 'main', ...words);
      });

      it('gives back single WAL files, with one of several keys', async () => {
        const other = ageKeygen(newDirectory('other'), 'other.key');
        const target = join(newDirectory('fetched'), 'it');
        const words = [other.path, recovery.path].flatMap((file) => ['--key-file', file]);
        expect(await fetching(target, ...words)).toEqual({ status: 0, stdout: '', stderr: '' });
        const original = readFileSync(join(scene.server.dataDirectory, 'pg_wal', segment));
        expect(readFileSync(target).equals(original)).toBe(true);
        const absent = ['wal', 'fetch', 'main', '0000000100000FFF00000001', target, '--repository-path', path];
        expect(await elsewhere.attempt(...absent, ...words)).toEqual({ status: 1, stdout: '', stderr: '' });
      });

      it('is restored, and fetches its WAL with the same key', async () => {
        const to = freshTarget();
        const words = ['--repository-path', path, '--key-file', recovery.path];
        const said = await elsewhere.run('restore', 'main', '--to', to, ...words);
        expect(said).toContain(`reads ${recovery.path}: leave it there`);
        const restored = await startRestored(to, { version: newestVersion });
        await assertSound(restored);
        expect(await fingerprint(restored)).toEqual(await fingerprint(scene.server));
        await restored.dispose();
      });

      it('says which option is missing without a key, and is refused with the wrong one', async () => {
        const without = await elsewhere.attempt('list', 'main', '--repository-path', path);
        expect(without).toMatchObject({ status: 34, stdout: '' });
        expect(without.stderr).toContain(`the repository ${path} is encrypted, and no key was named`);
        expect(without.stderr).toMatch(/^HINT: .*--key-file FILE$/m);
        const other = ageKeygen(newDirectory('other'), 'other.key');
        const wrong = await elsewhere.attempt('plan', 'main', '--repository-path', path, '--key-file', other.path);
        expect(wrong).toMatchObject({ status: 34, stdout: '' });
        expect(wrong.stderr).toContain(`no key here opens it (${other.path})`);
        expect(wrong.stderr).not.toMatch(/SECRET/);
      });

      it('never lets a missing key pass for a missing file', async () => {
        const target = join(newDirectory('fetched'), 'it');
        const other = ageKeygen(newDirectory('other'), 'other.key');
        for (const words of [[], ['--key-file', other.path], ['--key-file', '/nonexistent']]) {
          expect(await fetching(target, ...words)).toMatchObject({ status: 200, stdout: '' });
        }
        expect(existsSync(target)).toBe(false);
      });

      it('is refused with a key that others may read', async () => {
        const open = ageKeygen(newDirectory('open'), 'open.key');
        chmodSync(open.path, 0o644);
        const refused = await elsewhere.attempt('list', 'main', '--repository-path', path, '--key-file', open.path);
        expect(refused).toMatchObject({ status: 35, stdout: '' });
        expect(refused.stderr).toContain(`HINT: run: chmod 600 ${open.path}`);
      });
    });

    it('is restored with nothing but the recovery key, after the key was rotated', async () => {
      const { server, walden } = scene;
      await walden.run('key', 'rotate', 'far');
      await archiveNow(server);
      await walden.run('key', 'rotate', 'far', '--rewrap');
      await archiveNow(server);
      const keyDirectory = join(recovery.path, '..');
      const another = withKeys([`key_directory = "${keyDirectory}"`]);
      await walden.stop();
      await another.start();
      const restored = await restoreAndStart({ ...scene, walden: another }, []);
      expect(await fingerprint(restored)).toEqual(await fingerprint(server));
      await restored.dispose();
      await another.stop();
    });
  });
});

/** As `aws s3 sync` or `cp -r` would. */
async function copyStore(options: DriverOptions, directory: string): Promise<void> {
  const driver = await openDriver(options, { instance: 'copy', access: 'read-only' });
  for await (const { key } of driver.list('')) {
    const target = join(directory, key);
    mkdirSync(dirname(target), { recursive: true });
    await writeFile(target, await driver.get(key));
  }
  await driver.close();
}
