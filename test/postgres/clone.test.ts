import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseConf } from '../../src/restore/conf-text.ts';
import { archiveNow } from '../support/archiving.ts';
import {
  ALONE,
  clone,
  type CloneScene,
  launch,
  primaryOf,
  replayed,
  slotsOf,
  startCloneScene,
  streamsFrom,
} from '../support/cloning.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { freePort } from '../support/free-port.ts';
import { startLoad } from '../support/load.ts';
import { initialise, startRestored, startServer, type TestServer } from '../support/postgres-server.ts';
import { binDirectory, type PostgresVersion } from '../support/postgres-binaries.ts';
import { newDirectory } from '../support/sandbox.ts';
import { freshTarget, leaveMark } from '../support/scene.ts';
import { type StartedServer, startedServer } from '../support/started-server.ts';
import { takeIdentityOf } from '../support/taken-identity.ts';
import { newestVersion, testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { programDirectory, runProgram } from '../support/walden.ts';

describe.each(testedVersions)('walden clone, PostgreSQL %i', (version) => {
  /** What is about Walden alone. */
  const once = it.runIf(version === newestVersion);
  let scene: CloneScene;
  const ended: { stop(): Promise<unknown> }[] = [];

  beforeAll(async () => {
    scene = await startCloneScene(version);
  });
  afterEach(async () => {
    for (const standby of ended.splice(0)) await standby.stop();
    for (const slot of await slotsOf(scene.server)) {
      await until(
        async () =>
          (await scene.server.value('select active from pg_replication_slots where slot_name = $1', [slot])) ===
          'false',
        { what: `the slot ${slot} to be free` },
      );
      await scene.server.query('select pg_drop_replication_slot($1)', [slot]);
    }
  });
  afterAll(() => scene.dispose());

  async function startOptions(): Promise<readonly string[]> {
    return ['--start', '--wait', '120', '--pg-bin', scene.server.binDirectory, '--port', String(await freePort())];
  }

  function started(to: string): StartedServer {
    const standby = startedServer(to, version);
    ended.push(standby);
    return standby;
  }

  it('makes a standby of the repository alone while the primary is written to, starts it, and it streams', async () => {
    const { server, walden, offline, primary } = scene;
    const load = await startLoad(server);
    await load.advance(200);
    await archiveNow(server);
    await walden.kill();
    const to = freshTarget();
    const { status, stdout, stderr } = await clone(['--to', to, ...offline, ...primary, ...(await startOptions())]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('it streams from the primary');
    const standby = started(to);
    const [slot = ''] = await slotsOf(server);
    expect(slot).toMatch(/^walden_standby_[a-z0-9_]+_[0-9a-f]{8}$/);
    await streamsFrom(server, slot, () => standby.log());
    await load.advance(200);
    await load.stop();
    await replayed(standby, server);
    expect(await fingerprint(standby)).toEqual(await fingerprint(server));
    expect(await standby.value('show primary_slot_name')).toBe(slot);
    expect(await standby.value('show restore_command')).toContain('--repository-path');

    const other = freshTarget();
    const refused = await clone(['--to', other, ...offline, ...primary, '--slot', slot]);
    expect(refused.status).toBe(60);
    expect(refused.stderr).toContain(`the replication slot ${slot} is in use`);
    expect(existsSync(other)).toBe(false);
    await walden.start();
  });

  it('does it by the service, which knows the primary', async () => {
    const { server, walden } = scene;
    const to = freshTarget();
    const port = await freePort();
    const words = ['--slot', 'by_the_service', '--delay', '1s', '--port', String(port)];
    const document = (await walden.json('clone', 'main', '--to', to, ...words)) as {
      readonly result: { readonly slot: string };
    };
    expect(document.result.slot).toBe('by_the_service');
    expect(await slotsOf(server)).toEqual(['by_the_service']);
    const standby = await startRestored(to, { version, waitFor: 'accepting' });
    ended.push(standby);
    expect(await standby.value('show recovery_min_apply_delay')).toBe('1s');
    expect(readFileSync(join(to, 'postgresql.auto.conf'), 'utf8')).toMatch(new RegExp(`^port = '${port}'$`, 'm'));
    await streamsFrom(server, 'by_the_service', () => '');
  });

  once('does it from a repository of the configuration, with the primary of that, and without a slot', async () => {
    const { server, walden } = scene;
    const to = freshTarget();
    await walden.run('clone', 'main', '--to', to, '--repository', 'local', '--no-slot');
    expect(await slotsOf(server)).toEqual([]);
    const settings = parseConf(readFileSync(join(to, 'postgresql.auto.conf'), 'utf8'));
    const valueOf = (name: string): string | undefined => settings.findLast((one) => one.name === name)?.value;
    expect(valueOf('primary_conninfo')).toBe(server.conninfo);
    expect(valueOf('primary_slot_name')).toBe('');
    expect(existsSync(join(to, 'standby.signal'))).toBe(true);
  });

  it('refuses a server of another cluster before anything is changed', async () => {
    const other = await startServer({ version });
    ended.push({ stop: () => other.dispose() });
    const to = freshTarget();
    const { status, stderr } = await clone(['--to', to, ...scene.offline, '--primary', primaryOf(other)]);
    expect(status).toBe(11);
    expect(stderr).toContain('the server has system identifier');
    expect(existsSync(to)).toBe(false);
    expect(await slotsOf(other)).toEqual([]);
  });

  once('refuses a server of another version that says it is this cluster', async () => {
    const other = await startServerAs(scene.server, version === 15 ? 17 : 15);
    ended.push({ stop: () => other.dispose() });
    const to = freshTarget();
    const { status, stderr } = await clone(['--to', to, ...scene.offline, '--primary', primaryOf(other)]);
    expect(status).toBe(11);
    expect(stderr).toContain(`the server has version ${other.version}, and this cluster has ${version}`);
    expect(existsSync(to)).toBe(false);
    expect(await slotsOf(other)).toEqual([]);
  });

  once('drops the slot that it made when the restore fails', async () => {
    const parent = newDirectory('closed');
    chmodSync(parent, 0o500);
    const { status, stderr } = await clone(['--to', join(parent, 'data'), ...scene.offline, ...scene.primary]);
    chmodSync(parent, 0o700);
    expect(status).toBe(64);
    expect(stderr).toContain('unable to prepare');
    expect(await slotsOf(scene.server)).toEqual([]);
  });

  once('makes no slot where the directory is not empty', async () => {
    const to = newDirectory('full');
    writeFileSync(join(to, 'mine'), '');
    const { status } = await clone(['--to', to, ...scene.offline, ...scene.primary]);
    expect(status).toBe(52);
    expect(await slotsOf(scene.server)).toEqual([]);
  });

  once('refuses to start where the port of the primary is taken, before anything is changed', async () => {
    const { server, offline, primary } = scene;
    const to = freshTarget();
    const start = ['--start', '--pg-bin', server.binDirectory];
    const { status, stderr } = await clone(['--to', to, ...offline, ...primary, ...start]);
    expect(status).toBe(60);
    expect(stderr).toMatch(/port \d+ is taken on this host: something listens on 127\.0\.0\.1/);
    expect(stderr).toContain('--port');
    expect(existsSync(to)).toBe(false);
    expect(await slotsOf(server)).toEqual([]);
  });

  once(
    'refuses to start as root, with a pg_ctl of another version, or without one, before anything is changed',
    async () => {
      const { server, offline, primary } = scene;
      const to = freshTarget();
      const words = ['--to', to, ...offline, ...primary, '--start', '--pg-bin'];
      const other = binDirectory(testedVersions.find((one) => one !== version) ?? (version === 15 ? 17 : 15));
      const refused = [await clone([...words, other]), await clone([...words, newDirectory('empty')])];
      expect(refused.map(({ status }) => status)).toEqual([2, 5]);
      expect(refused[0]!.stderr).toMatch(/pg_ctl is of version \d+, and the cluster of version \d+/);
      expect(refused[1]!.stderr).toContain(`there is no pg_ctl of PostgreSQL ${version} in `);
      for (const { stderr } of refused) expect(stderr).toContain('HINT: name the directory');
      // Who may make a namespace of his own is root there.
      if (spawnSync('unshare', ['--map-root-user', 'true']).status === 0) {
        const asRoot = ['--map-root-user', join(programDirectory, 'walden'), 'clone', 'main', ...words];
        const { status, stderr } = await runProgram('unshare', [...asRoot, server.binDirectory], { env: ALONE });
        expect(status).toBe(2);
        expect(stderr).toContain('PostgreSQL does not run as root, and --start would start it as root');
        expect(stderr).toContain('HINT: run this as the user of PostgreSQL (sudo -u postgres …), or leave --start out');
      }
      expect(existsSync(to)).toBe(false);
      expect(await slotsOf(server)).toEqual([]);
    },
  );

  it('that was killed is begun again, and takes the slot that was made', async () => {
    const { server, offline, primary } = scene;
    const to = freshTarget();
    const words = ['--to', to, ...offline, ...primary];
    await until(
      async () => {
        rmSync(to, { recursive: true, force: true });
        const running = launch(words);
        await begun(to);
        running.kill();
        await running.outcome;
        return !existsSync(join(to, 'global', 'pg_control'));
      },
      { what: 'a clone to be killed in the middle' },
    );
    const slots = await slotsOf(server);
    expect(slots).toHaveLength(1);
    const position = await server.value('select restart_lsn from pg_replication_slots');
    const { status, stderr } = await clone(words);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(await slotsOf(server)).toEqual(slots);
    expect(await server.value('select restart_lsn from pg_replication_slots')).toBe(position);
    const standby = await startRestored(to, { version, waitFor: 'accepting' });
    ended.push(standby);
    await streamsFrom(server, slots[0]!, () => '');
  });

  once('that is interrupted drops its slot', async () => {
    const { server, offline, primary } = scene;
    const outcome = await until(
      async () => {
        const to = freshTarget();
        const running = launch(['--to', to, ...offline, ...primary, '--slot', 'interrupted']);
        await begun(to);
        running.kill('SIGTERM');
        const ended = await running.outcome;
        // It may have come to its end before it heard of the signal.
        if (ended.status === 0) await server.query(`select pg_drop_replication_slot('interrupted')`);
        return ended.status !== 0 && ended;
      },
      { what: 'a clone to be interrupted in the middle' },
    );
    expect(outcome.status).toBe(63);
    expect(await slotsOf(server)).toEqual([]);
  });

  once('says that it does not stream where it does not', async () => {
    const { server, offline, primary } = scene;
    await leaveMark(server, `delayed ${version}`);
    await archiveNow(server);
    const to = freshTarget();
    const start = ['--start', '--wait', '20', '--pg-bin', server.binDirectory, '--port', String(await freePort())];
    const { status, stdout, stderr } = await clone(['--to', to, ...offline, ...primary, ...start, '--delay', '1h']);
    const standby = started(to);
    expect(status).toBe(16);
    expect(stdout).toContain(`restored into ${to}`);
    // Where the machine is busy with other things it may not even take connections by then.
    expect(stderr).toMatch(/the standby (runs, and does not stream|was started, and takes no connections) after 20 s/);
    const recovering = (): Promise<string> => standby.value('select pg_is_in_recovery()').catch(() => 'no answer');
    await until(async () => (await recovering()) === 'true', { what: 'the standby to be in recovery' });
  });

  once('says that it cannot ask where no role may', async () => {
    const { server, offline, primary } = scene;
    const to = freshTarget();
    const start = ['--start', '--wait', '120', '--pg-bin', server.binDirectory, '--port', String(await freePort())];
    const env = { ...ALONE, PGUSER: 'nobody_of_this_name' };
    const { status, stderr } = await clone(['--to', to, ...offline, ...primary, ...start], env);
    started(to);
    expect(status).toBe(16);
    expect(stderr).toContain('whether it streams is not known');
    expect(stderr).toContain('PGUSER');
  });
});

/** Until the restore has begun: it may be at its end then. */
async function begun(to: string): Promise<void> {
  const files = ['walden-restore-incomplete.json', join('global', 'pg_control')];
  await until(() => files.some((file) => existsSync(join(to, file))), { what: 'the restore to begin', everyMs: 1 });
}

/** Another server, of another version, that takes itself for the cluster of `original`. */
async function startServerAs(original: TestServer, version: PostgresVersion): Promise<TestServer> {
  const dataDirectory = join(newDirectory('as'), 'data');
  await initialise(dataDirectory, { version });
  takeIdentityOf(original.dataDirectory, dataDirectory);
  return await startRestored(dataDirectory, { version });
}
