import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ALONE, clone, type CloneScene, primaryOf, startCloneScene } from '../support/cloning.ts';
import { freePort } from '../support/free-port.ts';
import { newDirectory } from '../support/sandbox.ts';
import { freshTarget } from '../support/scene.ts';
import { startedServer } from '../support/started-server.ts';
import { newestVersion } from '../support/tested-versions.ts';

describe('the password of walden clone', () => {
  let scene: CloneScene;
  let passfile: string;
  const ended: { stop(): Promise<unknown> }[] = [];

  beforeAll(async () => {
    scene = await startCloneScene(newestVersion);
    const { server } = scene;
    // PostgreSQL 13 keeps it as md5 unless told otherwise.
    await server.query(
      `set password_encryption = 'scram-sha-256'; create role replicator login replication password 'open sesame'`,
    );
    const hba = join(server.dataDirectory, 'pg_hba.conf');
    const strict = ['local replication replicator scram-sha-256', 'local all replicator scram-sha-256'];
    writeFileSync(hba, [...strict, readFileSync(hba, 'utf8')].join('\n'));
    await server.query('select pg_reload_conf()');
    passfile = join(newDirectory('pass'), 'pass');
    writeFileSync(passfile, '# comment\n*:*:replication:replicator:open sesame\n', { mode: 0o600 });
  });
  afterEach(async () => {
    for (const standby of ended.splice(0)) await standby.stop();
  });
  afterAll(() => scene.dispose());

  const primaryAs = (more: string): string =>
    `${primaryOf(scene.server).replace('user=postgres', 'user=replicator')}${more}`;

  it('is refused on the command line, and not repeated', async () => {
    const uri = 'postgresql://replicator:sesame@db1/?sslmode=disable';
    for (const primary of [primaryAs(` password='open sesame'`), uri]) {
      const to = freshTarget();
      const { status, stdout, stderr } = await clone(['--to', to, ...scene.offline, '--primary', primary]);
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
      expect(stderr).toContain('holds a password');
      expect(stderr).toContain('passfile');
      expect(stderr).not.toContain('sesame');
    }
  });

  it('comes from a passfile, for Walden and for the standby', async () => {
    const to = freshTarget();
    const start = [
      '--start',
      '--wait',
      '120',
      '--pg-bin',
      scene.server.binDirectory,
      '--port',
      String(await freePort()),
    ];
    const words = ['--primary', primaryAs(` passfile=${passfile}`), ...start];
    const { status, stderr } = await clone(['--to', to, ...scene.offline, ...words]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    ended.push(startedServer(to, newestVersion));
    expect(readFileSync(join(to, 'postgresql.auto.conf'), 'utf8')).not.toContain('sesame');
  });

  it('comes from the file that PGPASSFILE names', async () => {
    const env = { ...ALONE, PGPASSFILE: passfile };
    const words = ['--primary', primaryAs(''), '--slot', 'another'];
    const { status, stderr } = await clone(['--to', freshTarget(), ...scene.offline, ...words], env);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  it('is not taken from a file that others can read', async () => {
    chmodSync(passfile, 0o644);
    const words = ['--primary', primaryAs(` passfile=${passfile}`), '--slot', 'third'];
    const { status, stderr } = await clone(['--to', freshTarget(), ...scene.offline, ...words]);
    chmodSync(passfile, 0o600);
    expect(status).not.toBe(0);
    expect(stderr).toContain('can be read by others');
  });
});
