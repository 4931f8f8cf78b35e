import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { archiveNow } from '../support/archiving.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { newDirectory } from '../support/sandbox.ts';
import { freshTarget, restoreAndStart, type Scene, startScene } from '../support/scene.ts';
import { filesBelow } from '../support/stored.ts';
import { testedVersions } from '../support/tested-versions.ts';

describe.each(testedVersions)('restore with tablespaces, PostgreSQL %i', (version) => {
  let scene: Scene;
  let location: string;

  beforeAll(async () => {
    scene = await startScene({ version });
    location = join(newDirectory('ts'), 'fast disk=1');
    mkdirSync(location);
    const { server, walden } = scene;
    await server.query(`create tablespace fast location '${location}'`);
    await server.query('create table far (n int primary key, text text) tablespace fast');
    await server.query("insert into far select i, repeat('far ', 20) from generate_series(1, 5000) i");
    await walden.run('backup', 'main');
    await server.query('insert into far values (0, $1)', ['after the backup']);
    await archiveNow(server);
  });
  afterAll(() => scene.dispose());

  it('puts a mapped tablespace elsewhere', async () => {
    const elsewhere = join(newDirectory('ts'), 'new place');
    const map = `${location.replaceAll('=', '\\=')}=${elsewhere}`;
    const restored = await restoreAndStart(scene, ['--tablespace-map', map]);
    expect(await fingerprint(restored)).toEqual(await fingerprint(scene.server));
    const where = "select pg_tablespace_location(oid) from pg_tablespace where spcname = 'fast'";
    expect(await restored.value(where)).toBe(elsewhere);
    expect(filesBelow(elsewhere).length).toBeGreaterThan(0);
    await restored.dispose();
  });

  it('refuses to write into a tablespace that is in use', async () => {
    const before = filesBelow(location);
    const outcome = await scene.walden.attempt('restore', 'main', '--to', freshTarget());
    expect(outcome.status).toBe(52);
    expect(outcome.stderr).toContain(location);
    expect(filesBelow(location)).toEqual(before);
  });

  it('plans with the places that a restore would take', async () => {
    const plan = (...options: string[]): ReturnType<Scene['walden']['attempt']> =>
      scene.walden.attempt('plan', 'main', ...options);
    const map = `${location.replaceAll('=', '\\=')}=${join(newDirectory('ts'), 'new place')}`;
    expect((await plan('--to', freshTarget())).status).toBe(52);
    expect((await plan('--to', freshTarget(), '--tablespace-map', map)).status).toBe(0);
    expect((await plan('--to', scene.server.dataDirectory, '--tablespace-map', map)).status).toBe(53);
    expect((await plan('--tablespace-map', '/nowhere=/elsewhere')).status).toBe(2);
  });
});
