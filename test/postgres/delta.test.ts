import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { archiveNow, switchSegment } from '../support/archiving.ts';
import { fingerprint, type Fingerprint } from '../support/fingerprint.ts';
import { startLoad } from '../support/load.ts';
import { initialise, startRestored, type TestServer } from '../support/postgres-server.ts';
import { newDirectory } from '../support/sandbox.ts';
import { assertSound, freshTarget, leaveMark, type Scene, startScene } from '../support/scene.ts';
import { filesBelow } from '../support/stored.ts';
import { newestVersion, testedVersions } from '../support/tested-versions.ts';
import type { Outcome } from '../support/walden.ts';

interface Result {
  readonly files: number;
  readonly bytes: number;
  readonly delta: { readonly keptFiles: number; readonly keptBytes: number; readonly removedFiles: number } | null;
  readonly warnings: readonly string[];
}

/** By path: what tells whether a file was written anew, and whether it was changed. */
function lookOf(directory: string): ReadonlyMap<string, string> {
  return new Map(
    filesBelow(directory).map((path) => {
      const { ino, size, mtimeMs } = lstatSync(join(directory, path));
      return [path, `${ino} ${size} ${mtimeMs}`];
    }),
  );
}

/** Made by the restore itself, whatever was there: the recovery settings, and what is written last. */
const ALWAYS = ['global/pg_control', 'postgresql.auto.conf', 'recovery.signal'];

describe.each(testedVersions)('walden restore --delta, PostgreSQL %i', (version) => {
  /** What is about Walden alone. */
  const once = it.runIf(version === newestVersion);
  let scene: Scene;
  let location: string;
  let rows: Fingerprint;
  let unchanged: string;

  beforeAll(async () => {
    scene = await startScene({ version });
    location = join(newDirectory('ts'), 'far');
    mkdirSync(location);
    const { server, walden } = scene;
    await server.query(`create tablespace far location '${location}'`);
    await server.query('create table far (n int primary key, text text) tablespace far');
    await server.query("insert into far select i, repeat('far ', 20) from generate_series(1, 5000) i");
    await server.query("create table still as select i, repeat('still ', 20) as text from generate_series(1, 20000) i");
    await server.query('vacuum (freeze, analyze) still');
    unchanged = await server.value("select pg_relation_filepath('still')");
    await server.query('create table dropped as select 1 as n');
    await server.query('checkpoint');
    await walden.run('backup', 'main');
    const load = await startLoad(server);
    await load.advance(300);
    await load.stop();
    await server.query('drop table dropped');
    await server.query('create table later as select i from generate_series(1, 1000) i');
    await server.query("insert into far values (0, 'after the backup')");
    await archiveNow(server);
    rows = await fingerprint(server);
    await server.stop('fast');
  });
  afterAll(() => scene.dispose());

  async function delta(to: string, ...words: readonly string[]): Promise<Result> {
    const document = await scene.walden.json('restore', 'main', '--to', to, '--delta', ...words);
    return (document as { readonly result: Result }).result;
  }

  async function refused(to: string, ...words: readonly string[]): Promise<Outcome> {
    const before = lookOf(to);
    const outcome = await scene.walden.attempt('restore', 'main', '--to', to, '--delta', ...words);
    expect(lookOf(to)).toEqual(before);
    return outcome;
  }

  /** A copy as a plain restore makes it, with its tablespace in a place of its own. */
  async function copy(): Promise<{ readonly to: string; readonly place: string; readonly map: readonly string[] }> {
    const to = freshTarget();
    const place = join(newDirectory('ts'), 'copy');
    const map = ['--tablespace-map', `${location}=${place}`];
    await scene.walden.run('restore', 'main', '--to', to, ...map);
    return { to, place, map };
  }

  async function startAndCompare(to: string): Promise<void> {
    const restored: TestServer = await startRestored(to, { version });
    await assertSound(restored);
    expect(await fingerprint(restored)).toEqual(rows);
    await restored.stop('fast');
  }

  it('brings the directory of a server that moved on and was stopped to a backup, and writes what differs', async () => {
    const to = scene.server.dataDirectory;
    const before = lookOf(to);
    const dropped = [...before.keys()].length;
    const { files, bytes, delta: kept, warnings } = await delta(to);
    expect(warnings.filter((warning) => warning.includes('given up'))).toEqual([]);
    const after = lookOf(to);
    expect(after.get(unchanged)).toBe(before.get(unchanged));
    const stayed = [...after].filter(([path, look]) => before.get(path) === look).length;
    expect(stayed).toBeGreaterThan(dropped / 2);
    // Those in the tablespace are counted besides.
    expect(kept!.keptFiles).toBeGreaterThanOrEqual(stayed);
    const sizes = [...after.keys()].reduce((sum, path) => sum + statSync(join(to, path)).size, 0);
    expect(kept!.keptBytes).toBeGreaterThan(sizes / 2);
    expect(bytes).toBeLessThan(kept!.keptBytes / 2);
    expect(kept!.removedFiles).toBeGreaterThan(0);
    expect(files).toBeGreaterThan(3);
    expect(readdirSync(join(to, 'pg_wal')).filter((name) => /^[0-9A-F]{24}/.test(name))).toEqual([]);
    await startAndCompare(to);
  });

  it('writes exactly the files that were changed, and removes those that were added', async () => {
    const { to, place, map } = await copy();
    const before = lookOf(to);
    const inPlace = filesBelow(place).find((path) => statSync(join(place, path)).size > 8192)!;
    const [corrupted, truncated, missing] = filesBelow(join(to, 'base/1'))
      .filter((path) => statSync(join(to, 'base/1', path)).size >= 16_384)
      .map((path) => join('base/1', path));
    const changed = [corrupted!, truncated!, missing!].map((path) => ({ path, was: readFileSync(join(to, path)) }));
    for (const path of [join(to, corrupted!), join(place, inPlace)]) {
      const { atime, mtime } = statSync(path);
      const content = readFileSync(path);
      content[100] = content[100]! ^ 1;
      writeFileSync(path, content);
      utimesSync(path, atime, mtime);
    }
    truncateSync(join(to, truncated!), 8192);
    rmSync(join(to, missing!));
    mkdirSync(join(to, 'base/99999/deep'), { recursive: true });
    for (const extra of ['base/99999/deep/1', 'base/1/99998', 'pg_wal/archive_status/x.ready', 'mine']) {
      writeFileSync(join(to, extra), 'x');
    }
    mkdirSync(join(place, 'PG_99_209901011'));
    writeFileSync(join(place, 'PG_99_209901011/theirs'), 'x');
    const { files, delta: kept } = await delta(to, ...map);
    // With the signal file of the restore before.
    expect(kept).toMatchObject({ removedFiles: 5 });
    // The four, and pg_control and postgresql.auto.conf.
    expect(files).toBe(6);
    const after = lookOf(to);
    // Those that were written may look as before: one may even get the inode that it had.
    for (const { path, was } of changed) expect(readFileSync(join(to, path)).equals(was), path).toBe(true);
    const others = [...before].filter(([path]) => !ALWAYS.includes(path) && !changed.some((one) => one.path === path));
    for (const [path, look] of others) expect(after.get(path), path).toBe(look);
    expect([...after.keys()]).toEqual([...before.keys()]);
    expect(existsSync(join(place, 'PG_99_209901011/theirs'))).toBe(true);
    await startAndCompare(to);
  });

  once('removes links and never follows them, but for pg_wal, which stays one', async () => {
    const { to, map } = await copy();
    const elsewhere = newDirectory('elsewhere');
    writeFileSync(join(elsewhere, 'theirs'), 'x');
    symlinkSync(elsewhere, join(to, 'base/5555'));
    renameSync(join(to, 'base/1/1259'), join(elsewhere, '1259'));
    symlinkSync(join(elsewhere, '1259'), join(to, 'base/1/1259'));
    const wal = join(newDirectory('wal'), 'wal');
    renameSync(join(to, 'pg_wal'), wal);
    symlinkSync(wal, join(to, 'pg_wal'));
    mkdirSync(join(wal, 'lost+found'));
    writeFileSync(join(wal, 'archive_status', 'old.done'), '');
    const { warnings } = await delta(to, ...map);
    expect(warnings.join('\n')).toContain(`the link base/5555 is gone, which led to ${elsewhere}`);
    expect(readdirSync(elsewhere).sort()).toEqual(['1259', 'theirs']);
    expect(lstatSync(join(to, 'base/1/1259')).isFile()).toBe(true);
    expect(readlinkSync(join(to, 'pg_wal'))).toBe(wal);
    expect(readdirSync(join(wal, 'archive_status'))).toEqual([]);
    expect(existsSync(join(wal, 'lost+found'))).toBe(true);
    await startAndCompare(to);
  });

  once('refuses a tablespace that is not the old directory’s own', async () => {
    const { to } = await copy();
    const theirs = newDirectory('theirs');
    writeFileSync(join(theirs, 'precious'), 'x');
    const outcome = await refused(to, '--tablespace-map', `${location}=${theirs}`);
    expect(outcome).toMatchObject({ status: 52 });
    expect(outcome.stderr).toContain(`${theirs} is not empty, and no tablespace of ${to}`);
    expect(readdirSync(theirs)).toEqual(['precious']);
  });

  once('refuses what is no data directory of the cluster, and what a server runs in', async () => {
    const other = join(newDirectory('other'), 'data');
    await initialise(other, { version });
    const foreign = await refused(other);
    expect(foreign.status).toBe(11);
    expect(foreign.stderr).toContain(`${other} has system identifier`);
    const plain = newDirectory('plain');
    writeFileSync(join(plain, 'precious'), 'x');
    const none = await refused(plain);
    expect(none.status).toBe(52);
    expect(none.stderr).toContain('is no data directory: it has no global/pg_control');
    const { to, map } = await copy();
    writeFileSync(join(to, 'postmaster.pid'), `${process.pid}\n${to}\n`);
    expect((await refused(to, ...map)).status).toBe(53);
    rmSync(join(to, 'postmaster.pid'));
    renameSync(join(to, 'global'), join(to, 'global2'));
    symlinkSync(join(to, 'global2'), join(to, 'global'));
    expect((await refused(to, ...map)).status).toBe(52);
    expect((await scene.walden.attempt('restore', 'main', '--to', freshTarget(), '--discard-wal')).status).toBe(2);
  });

  once('restores into an absent directory as without it', async () => {
    const to = freshTarget();
    const place = join(newDirectory('ts'), 'new');
    const result = await delta(to, '--tablespace-map', `${location}=${place}`);
    expect(result.delta).toBe(null);
    await startAndCompare(to);
  });
});

describe.each(testedVersions)('walden restore --delta and WAL that is not archived, PostgreSQL %i', (version) => {
  let scene: Scene;

  beforeAll(async () => {
    // It would commit besides what the test does.
    scene = await startScene({ version, settings: { autovacuum: 'off' } });
    await scene.walden.run('backup', 'main');
  });
  afterAll(() => scene.dispose());

  it('refuses until it is in the archive, or given up', async () => {
    const { server, walden } = scene;
    await leaveMark(server, 'archived');
    await archiveNow(server);
    // From here on nothing is archived.
    await server.query("alter system set archive_command = 'false'");
    await server.query('select pg_reload_conf()');
    await leaveMark(server, 'whole segment');
    const whole = await switchSegment(server);
    await leaveMark(server, 'last segment');
    const last = await server.value('select pg_walfile_name(pg_current_wal_lsn())');
    await server.kill();
    const to = server.dataDirectory;
    const before = lookOf(to);
    const refused = await walden.attempt('restore', 'main', '--to', to, '--delta');
    expect(refused.status).toBe(54);
    expect(refused.stderr).toContain(`${to} has WAL that no repository has: ${whole}, ${last} (1 transaction`);
    expect(refused.stderr).toContain(`walden wal repair main --from ${to}`);
    expect(refused.stderr).toContain('--discard-wal');
    expect(lookOf(to)).toEqual(before);

    await walden.run('wal', 'push', 'main', join(to, 'pg_wal', whole));
    const again = await walden.attempt('restore', 'main', '--to', to, '--delta');
    expect(again.status).toBe(54);
    expect(again.stderr).not.toContain(`${whole},`);
    expect(again.stderr).toContain(`${last} (1 transaction`);
    expect(lookOf(to)).toEqual(before);

    const { result } = (await walden.json('restore', 'main', '--to', to, '--delta', '--discard-wal')) as {
      readonly result: Result;
    };
    expect(result.warnings.join('\n')).toContain(`given up, since no repository has it: ${last}`);
    const restored = await startRestored(to, { version });
    expect((await restored.query('select mark from marks order by 1')).map(({ mark }) => mark)).toEqual([
      'archived',
      'whole segment',
    ]);
    await restored.stop('fast');
  });
});
