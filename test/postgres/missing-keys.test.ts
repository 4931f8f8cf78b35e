import { chmodSync, copyFileSync, existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackupListDocument, StatusDocument } from '../../src/service/api.ts';
import { archived, archiveNow, isArchived, switchSegment } from '../support/archiving.ts';
import { ageKeygen, newKeyRing, whyNoAge } from '../support/encryption.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { startRestored } from '../support/postgres-server.ts';
import { newDirectory } from '../support/sandbox.ts';
import { freshTarget, leaveMark, type Scene, startScene } from '../support/scene.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';

const NAMES = ['near', 'far', 'extra'] as const;
type Name = (typeof NAMES)[number];
type RepositoryStatus = StatusDocument['clusters'][number]['repositories'][number];

describe.skipIf(whyNoAge !== undefined)(
  whyNoAge ?? 'a cluster with encrypted repositories whose keys go missing',
  () => {
    let scene: Scene;
    const directories = new Map<Name, string>();
    const aside = new Map<Name, string>();

    beforeAll(async () => {
      const stores: Record<string, readonly string[]> = {};
      const recovery = ageKeygen(newDirectory('recovery'), 'recovery.key');
      for (const name of NAMES) {
        const { keyDirectory } = (await newKeyRing([recovery.recipient])).options;
        directories.set(name, keyDirectory);
        aside.set(name, newDirectory('aside'));
        const path = newDirectory(name);
        const keys = [`key_directory = "${keyDirectory}"`, `recipients = ["${recovery.recipient}"]`];
        stores[name] = ['driver = "local"', `path = "${path}"`, ...keys];
      }
      scene = await startScene({
        version: newestVersion,
        initdbArguments: ['--wal-segsize=1'],
        walden: {
          repositories: NAMES,
          stores,
          clusterSettings: ['required = ["near", "far"]', 'wal_fetch_timeout = 2'],
        },
      });
      await scene.walden.run('backup', 'main');
      await leaveMark(scene.server, 'kept');
      await archiveNow(scene.server);
      await filled();
    });
    afterAll(() => scene.dispose());

    function moveKeys(from: string, to: string): void {
      for (const file of readdirSync(from)) renameSync(join(from, file), join(to, file));
    }
    const takeAway = (name: Name): void => {
      moveKeys(directories.get(name)!, aside.get(name)!);
    };
    const putBack = (name: Name): void => {
      moveKeys(aside.get(name)!, directories.get(name)!);
    };

    async function statusOf(name: Name): Promise<RepositoryStatus> {
      const { clusters } = (await scene.walden.json('status')) as StatusDocument;
      return clusters[0]!.repositories.find((repository) => repository.name === name)!;
    }

    async function expectTrouble(name: Name, code: string): Promise<void> {
      await until(async () => (await statusOf(name)).failure?.error.code === code, {
        what: `the status to tell ${code} of ${name}`,
        explain: async () => JSON.stringify(await statusOf(name)),
      });
    }

    async function filled(): Promise<void> {
      await until(
        async () => {
          const { lag } = await statusOf('extra');
          return lag?.walFiles === 0 && lag.backups === 0;
        },
        { what: 'the repository that is not required to hold everything', explain: () => scene.walden.log() },
      );
    }

    async function fetch(segment: string): Promise<{ readonly status: number; readonly stderr: string }> {
      const target = join(newDirectory('fetched'), 'it');
      const { status, stderr } = await scene.walden.attempt('wal', 'fetch', 'main', segment, target, '--timeout', '5');
      expect(existsSync(target)).toBe(status === 0);
      return { status, stderr };
    }

    /**
     * Restores, and finds what is said of the repositories that could not be read. Recovery ends only when each of them was
     * opened and has answered that there is no more: a standby does not wait for that.
     */
    async function restored(as: 'primary' | 'standby'): Promise<string> {
      const to = freshTarget();
      const said = await scene.walden.run('restore', 'main', '--to', to, ...(as === 'standby' ? ['--standby'] : []));
      const waitFor = as === 'standby' ? 'accepting' : 'promoted';
      const server = await startRestored(to, { version: newestVersion, waitFor });
      const wanted = await fingerprint(scene.server);
      await until(async () => isDeepStrictEqual(await fingerprint(server), wanted), { what: 'the same rows' });
      await server.dispose();
      return said;
    }

    /** A segment that PostgreSQL wants to have archived and, as it is told why, keeps. */
    async function refusedSegment(): Promise<string> {
      const segment = await switchSegment(scene.server);
      await until(async () => (await scene.server.log()).includes(`pg_wal/${segment}`), {
        what: 'the archiver to be told why',
        explain: () => scene.walden.log(),
      });
      expect(isArchived(scene.server, segment)).toBe(false);
      return segment;
    }

    it('archives, and tells, while the key of one that is not required is away, and fills it afterwards', async () => {
      takeAway('extra');
      await archiveNow(scene.server);
      await expectTrouble('extra', 'KEY_MISSING');
      expect(await scene.walden.run('status')).toMatch(/TROUBLE, first noticed .*\(KEY_MISSING\)\n +HINT: put the key/);
      putBack('extra');
      await filled();
      await until(async () => (await statusOf('extra')).failure === null, { what: 'the trouble to be over' });
    });

    it('fetches and restores from the next when the key of the preferred one disappears, and says so', async () => {
      const segment = await archiveNow(scene.server);
      takeAway('near');
      expect(await fetch(segment)).toEqual({ status: 0, stderr: '' });
      expect(await scene.walden.log()).toMatch(/"level":"warn".*KEY_MISSING.*is fetched from repository (far|extra)/);
      await expectTrouble('near', 'KEY_MISSING');
      const said = await restored('primary');
      expect(said).toMatch(new RegExp(`note: .*keys of repository near: ${directories.get('near')!}`));
      expect((await statusOf('far')).failure).toBeNull();
      putBack('near');
    });

    it('acknowledges nothing that only a recovery key could open in one that is required, and takes no backup', async () => {
      const { server, walden } = scene;
      takeAway('far');
      const segment = await refusedSegment();
      await expectTrouble('far', 'KEY_MISSING');
      const { clusters } = (await walden.json('status')) as StatusDocument;
      expect(clusters[0]!.wal.refusals).toMatchObject([{ name: segment, error: { code: 'KEY_MISSING' } }]);
      const backup = await walden.attempt('backup', 'main');
      expect(backup).toMatchObject({ status: 34 });
      const { backups } = (await walden.json('list', 'main')) as BackupListDocument;
      expect(new Set(backups.filter(({ state }) => state === 'complete').map(({ id }) => id)).size).toBe(1);
      putBack('far');
      // Wakes the archiver.
      await archived(server, await switchSegment(server));
      await archived(server, segment);
      await walden.run('backup', 'main');
    });

    it('never takes a file for absent that one without its key may have', async () => {
      const absent = '000000010000000F00000001';
      expect(await fetch(absent)).toMatchObject({ status: 1 });
      takeAway('near');
      const { status, stderr } = await fetch(await archivedAlready());
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      putBack('near');
      await scene.walden.stop();
      takeAway('near');
      await scene.walden.start();
      const refused = await fetch(absent);
      expect(refused).toMatchObject({ status: 200 });
      expect(refused.stderr).toMatch(/keys of repository near/);
    });

    async function archivedAlready(): Promise<string> {
      return (await statusOf('far')).lastArchived!.name;
    }

    it('goes on from a start without the key of one that is required: reading from the others, storing nothing', async () => {
      const { server } = scene;
      await leaveMark(server, 'while near has no key');
      const segment = await refusedSegment();
      await expectTrouble('near', 'KEY_MISSING');
      expect(await fetch(await archivedAlready())).toMatchObject({ status: 0 });
      expect(await scene.walden.run('plan', 'main')).toContain('repository far');
      putBack('near');
      await archived(server, await switchSegment(server));
      await archived(server, segment);
    });

    it('tells a wrong key and one that others may read from a missing one, at the next start too', async () => {
      const { server, walden } = scene;
      const [name] = readdirSync(directories.get('near')!);
      const path = join(directories.get('near')!, name!);
      await walden.stop();
      takeAway('near');
      const other = ageKeygen(newDirectory('other'), 'other.key');
      copyFileSync(other.path, path);
      chmodSync(path, 0o600);
      await walden.start();
      await expectTrouble('near', 'KEY_MISSING');
      expect((await statusOf('near')).failure!.error.message).toContain('no key here opens it');
      expect(await restored('standby')).toContain('no key here opens it');
      const segment = await refusedSegment();
      rmSync(path);
      putBack('near');
      chmodSync(path, 0o644);
      await walden.stop();
      await walden.start();
      await expectTrouble('near', 'KEY_REFUSED');
      expect(await restored('standby')).toContain(`others may read ${path}`);
      expect(isArchived(server, segment)).toBe(false);
      chmodSync(path, 0o600);
      await archived(server, await switchSegment(server));
      await archived(server, segment);
      expect(await walden.log()).not.toContain('AGE-SECRET-KEY');
    });

    it('does not start when the keys of all that could serve a cluster are away', async () => {
      const { walden } = scene;
      await walden.stop();
      for (const name of NAMES) takeAway(name);
      const { status, stderr } = await walden.attempt('service');
      expect({ status, stderr }).toEqual({
        status: 34,
        stderr: expect.stringContaining('keys of repository') as string,
      });
      for (const name of NAMES) putBack(name);
      await walden.start();
      await archiveNow(scene.server);
    });
  },
);
