import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
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
import { restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { STORE_KINDS_UNDER_TEST } from '../support/stores/all-stores.ts';
import { sectionOf, type StoreKindUnderTest, type StoreUnderTest } from '../support/stores/store-under-test.ts';
import { restoreToAMoment } from '../support/story.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { createWalden, type WaldenHarness } from '../support/walden.ts';

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
    let section: readonly string[];
    let keyPath: string;
    let recovery: GeneratedKey;
    let scene: Scene;
    /** The store without the keys. */
    let bare: WaldenHarness;

    beforeAll(async () => {
      store = await kind.start();
      section = sectionOf(store.options());
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
