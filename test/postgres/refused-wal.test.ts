import { randomBytes } from 'node:crypto';
import { copyFileSync, cpSync, existsSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { archived, archiveNow, switchSegment } from '../support/archiving.ts';
import { startRestored, startServer } from '../support/postgres-server.ts';
import { newDirectory } from '../support/sandbox.ts';
import { leaveMark, type Scene, startScene } from '../support/scene.ts';
import { filesBelow, segmentObject, sha256Of } from '../support/stored.ts';
import { newestVersion, testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { runProgram } from '../support/walden.ts';

const SEGMENT_BYTES = 16 * 1024 * 1024;
/** Far from everything that these short histories write. */
const FREE_NAME = '0000000100000000000000E0';

describe.each(testedVersions)('what is no WAL of the cluster, PostgreSQL %i', (version) => {
  let scene: Scene;
  let segment: string;
  let outside: string;

  beforeAll(async () => {
    scene = await startScene({ version });
    outside = newDirectory('outside');
    segment = await switchSegment(scene.server);
    // Kept as it is now: PostgreSQL may recycle its own copy.
    copyFileSync(join(scene.server.dataDirectory, 'pg_wal', segment), join(outside, segment));
    await archived(scene.server, segment);
  });
  afterAll(() => scene.dispose());

  /** Offers a file, and makes sure that the archive holds what it held before. */
  async function refused(path: string): Promise<{ readonly status: number; readonly stderr: string }> {
    const before = filesBelow(scene.walden.repositoryPath());
    const outcome = await scene.walden.attempt('wal', 'push', 'main', path);
    const added = filesBelow(scene.walden.repositoryPath()).filter((file) => !before.includes(file));
    // The server archives on by itself meanwhile; nothing of this name may appear.
    expect(added.filter((file) => file.includes(path.slice(-24)))).toEqual([]);
    return outcome;
  }

  it('a segment of another cluster is refused', async () => {
    const foreign = await startServer({ version });
    for (let count = 0; count < 20; count += 1) await switchSegment(foreign);
    const name = await switchSegment(foreign);
    const outcome = await refused(join(foreign.dataDirectory, 'pg_wal', name));
    expect(outcome.status).toBe(11);
    expect(outcome.stderr).toContain(name);
    await foreign.dispose();
  });

  it('garbage under a good name is refused', async () => {
    const path = join(outside, FREE_NAME);
    writeFileSync(path, randomBytes(SEGMENT_BYTES));
    expect((await refused(path)).status).toBe(31);
    writeFileSync(path, Buffer.alloc(SEGMENT_BYTES));
    expect((await refused(path)).status).toBe(31);
  });

  it('a segment under another name is refused', async () => {
    const path = join(outside, FREE_NAME);
    copyFileSync(join(outside, segment), path);
    expect((await refused(path)).status).toBe(31);
  });

  it('a segment that is not finished is refused, and taken once it is', async () => {
    const { server, walden } = scene;
    await leaveMark(server, 'unfinished');
    const current = await server.value('select pg_walfile_name(pg_current_wal_lsn())');
    const path = join(outside, current);
    copyFileSync(join(server.dataDirectory, 'pg_wal', current), path);
    expect((await refused(path)).status).toBe(31);
    expect(await archiveNow(server)).toBe(current);
    expect(existsSync(segmentObject(walden, current))).toBe(true);
  });

  it('a segment that was cut short is refused', async () => {
    const path = join(newDirectory('short'), FREE_NAME);
    copyFileSync(join(outside, segment), path);
    truncateSync(path, SEGMENT_BYTES / 2);
    expect((await refused(path)).status).toBe(31);
  });

  it('the same bytes again are success', async () => {
    expect(await scene.walden.attempt('wal', 'push', 'main', join(outside, segment))).toMatchObject({ status: 0 });
  });

  it('other bytes under the name of a stored segment change nothing and stay visible', async () => {
    const { server, walden } = scene;
    await server.stop();
    const copy = join(newDirectory('copy'), 'data');
    cpSync(server.dataDirectory, copy, { recursive: true });
    await server.start();
    const twin = await startRestored(copy, { version, settings: { archive_mode: 'off' } });
    await leaveMark(server, 'original');
    await leaveMark(twin, 'twin');
    const name = await archiveNow(server);
    expect(await switchSegment(twin)).toBe(name);
    const stored = sha256Of(segmentObject(walden, name));
    const outcome = await walden.attempt('wal', 'push', 'main', join(copy, 'pg_wal', name));
    expect(outcome.status).toBe(40);
    expect(sha256Of(segmentObject(walden, name))).toBe(stored);
    expect(await walden.run('status', 'main')).toContain(name);
    await twin.dispose();
  });

  it('a refusal stands in the log of PostgreSQL and in walden status, and goes with its cause', async () => {
    const { server, walden } = scene;
    const wal = join(server.dataDirectory, 'pg_wal');
    writeFileSync(join(wal, FREE_NAME), randomBytes(SEGMENT_BYTES));
    writeFileSync(join(wal, 'archive_status', `${FREE_NAME}.ready`), '');
    await switchSegment(server);
    await until(async () => new RegExp(`walden-push: .*${FREE_NAME}`).test(await server.log()), {
      what: 'the refusal in the log of PostgreSQL',
      explain: () => server.log(),
    });
    expect(await walden.run('status', 'main')).toContain(FREE_NAME);
    rmSync(join(wal, 'archive_status', `${FREE_NAME}.ready`));
    rmSync(join(wal, FREE_NAME));
    await archiveNow(server);
  });
});

describe('names that are no names of WAL files', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await startScene({ version: newestVersion });
  });
  afterAll(() => scene.dispose());

  const NAMES = ['../../x', '..', '.', '%2e%2e/x', `${FREE_NAME}/../../x`, `${FREE_NAME}\0`, 'x'.repeat(300), ''];

  it.each(NAMES)('the service refuses to store, push or fetch %j', async (name) => {
    const before = filesBelow(scene.walden.directory).filter((file) => !file.endsWith('.log'));
    const path = `/v1/clusters/main/wal/${encodeURIComponent(name)}`;
    for (const [method, suffix] of [
      ['PUT', ''],
      ['POST', '/push'],
      ['POST', '/fetch'],
    ] as const) {
      expect(await statusOf(join(scene.walden.directory, 'walden.sock'), method, path + suffix)).toBeGreaterThanOrEqual(
        400,
      );
    }
    const added = filesBelow(scene.walden.directory).filter((file) => !before.includes(file));
    expect(added.filter((file) => /x|E0/.test(file.split('/').at(-1) ?? ''))).toEqual([]);
  });

  it('the scripts refuse them', async () => {
    const { archiveCommand, restoreCommand } = await scene.walden.commandSettings();
    const directory = newDirectory('scripts');
    mkdirSync(join(directory, 'pg_wal'));
    const run = (command: string) => runProgram('/bin/sh', ['-c', command], { cwd: directory });
    const fetch = await run(restoreCommand.replace('%f', '../../x').replace('%p', 'pg_wal/RECOVERYXLOG'));
    expect(fetch.status).toBeGreaterThan(125);
    const push = await run(archiveCommand.replace('%p', 'pg_wal/..x'));
    expect(push.status).toBeGreaterThan(0);
    expect(push.status).toBeLessThanOrEqual(125);
    expect(filesBelow(directory)).toEqual([]);
  });
});

/** The HTTP status for a request whose path is sent as it is. */
function statusOf(socketPath: string, method: string, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({
      socketPath,
      method,
      path,
      timeout: 30_000,
      headers: { 'content-type': 'application/octet-stream' },
    });
    sent.once('response', (response) => {
      response.resume();
      response.once('end', () => {
        resolve(response.statusCode ?? 0);
      });
    });
    sent.once('error', reject);
    sent.end(method === 'PUT' ? 'bytes' : undefined);
  });
}
