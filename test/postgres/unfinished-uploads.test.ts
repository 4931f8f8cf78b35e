import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseLsn } from '../../src/postgres/lsn.ts';
import type { PlanDocument } from '../../src/service/api.ts';
import { WAL_HEADER_BYTES } from '../../src/repository/wal-object.ts';
import { startLoad } from '../support/load.ts';
import { startRestored } from '../support/postgres-server.ts';
import {
  partialOf,
  receiveDirectory,
  receivedNow,
  receiverThat,
  startReceiving,
  streaming,
} from '../support/receiving.ts';
import { freshTarget, leaveMark, marksOf, restoreAndStart, type Scene } from '../support/scene.ts';
import { filesBelow } from '../support/stored.ts';
import { newestVersion, testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import type { WaldenHarness } from '../support/walden.ts';

const INTERVAL = 'partial_interval = "1s"';

/** Names of the unfinished segments in the repository. */
function unfinishedIn(walden: WaldenHarness): readonly string[] {
  const directory = join(walden.repositoryPath(), 'main', 'unfinished');
  return existsSync(directory) ? filesBelow(directory).map((path) => basename(path)) : [];
}

function positionIn(name: string): bigint {
  return BigInt(`0x${name.slice(25, 41)}`);
}

async function storedUpTo(walden: WaldenHarness, lsn: string): Promise<void> {
  await until(() => unfinishedIn(walden).some((name) => positionIn(name) >= parseLsn(lsn)), {
    what: `an unfinished segment up to ${lsn} in the repository`,
    explain: () => walden.log(),
  });
}

async function planOf(walden: WaldenHarness): Promise<PlanDocument> {
  return (await walden.json('plan', 'main')) as PlanDocument;
}

/** A plan does not wait for a catalog that is built anew. */
async function catalogWhole(walden: WaldenHarness): Promise<void> {
  await until(async () => (await walden.attempt('plan', 'main')).status !== 65, { what: 'the catalog to be whole' });
}

const started: { dispose(): Promise<void> }[] = [];
afterAll(async () => {
  for (const thing of started.splice(0)) await thing.dispose();
});

async function begin(version: (typeof testedVersions)[number]): Promise<Scene> {
  const scene = await startReceiving({ version, lines: [INTERVAL] });
  started.push(scene);
  await scene.walden.run('backup', 'main');
  return scene;
}

/** Has the service begin anew with another configuration. */
async function restartWith(walden: WaldenHarness, change: (text: string) => string): Promise<void> {
  await walden.stop();
  writeFileSync(walden.configFile, change(readFileSync(walden.configFile, 'utf8')));
  await walden.start();
  await streaming(walden);
}

/** After both were lost. */
async function startAgain({ server, walden }: Scene): Promise<void> {
  await server.start();
  if (!walden.running) await walden.start();
  await streaming(walden);
}

describe.each(testedVersions)('storing the unfinished segment, PostgreSQL %i', (version) => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await begin(version);
  });

  it('gives back what was stored when server, spool and catalog are lost', async () => {
    const { server, walden } = scene;
    await leaveMark(server, 'whole');
    await receivedNow(server, walden);
    const { lsn } = await leaveMark(server, 'stored');
    await storedUpTo(walden, lsn);
    await walden.kill();
    await server.kill();
    rmSync(walden.stateDirectory, { recursive: true });
    await walden.start();
    await catalogWhole(walden);
    const { unfinished, unstoredSegments, notes } = await planOf(walden);
    expect(parseLsn(unfinished!.end) >= parseLsn(lsn)).toBe(true);
    expect(unstoredSegments).toBe(0);
    expect(notes.join('\n')).toContain('as it was stored last in repository local');
    const restored = await restoreAndStart(scene, []);
    expect(await marksOf(restored)).toEqual(['stored', 'whole']);
    await restored.dispose();
    await startAgain(scene);
  });

  it('keeps that of a timeline that was left, and puts it only where that timeline is replayed', async () => {
    const { server, walden } = scene;
    const standby = await restoreAndStart(scene, ['--standby'], { waitFor: 'accepting' });
    started.unshift(standby);
    await leaveMark(server, 'followed');
    await receivedNow(server, walden);
    await until(async () => (await marksOf(standby)).includes('followed'), { what: 'the standby to follow' });
    const { lsn } = await leaveMark(server, 'left behind');
    await storedUpTo(walden, lsn);
    const { segment: tail } = partialOf(walden);
    await server.kill();
    await standby.query('select pg_promote(true, 60)');
    await walden.run('cluster', 'follow', 'main', '--primary', standby.conninfo.replace(' dbname=postgres', ''));
    await receiverThat(walden, 'timeline 2', ({ state, timeline }) => state === 'streaming' && timeline === 2);
    await storedUpTo(walden, (await leaveMark(standby, 'new timeline')).lsn);
    await receivedNow(standby, walden);
    expect(unfinishedIn(walden).map((name) => name.slice(0, 24))).toContain(tail);
    // Without what was put aside in the spool.
    rmSync(join(receiveDirectory(walden), 'kept'), { recursive: true });
    const to = freshTarget();
    await walden.run('restore', 'main', '--to', to);
    // Looked at before the start: PostgreSQL might replay it, and removes it once it is promoted.
    expect(filesBelow(join(to, 'pg_wal'))).not.toContain(tail);
    const restored = await startRestored(to, { version });
    expect(await marksOf(restored)).toEqual(['followed', 'new timeline', 'stored', 'whole']);
    await restored.dispose();
    const left = await restoreAndStart(scene, ['--timeline', '1']);
    expect(await marksOf(left)).toEqual(['followed', 'left behind', 'stored', 'whole']);
    await left.dispose();
  });
});

describe('storing the unfinished segment', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await begin(newestVersion);
  });

  it('goes on after the service was killed, byte for byte although zeros were written ahead', async () => {
    const { server, walden } = scene;
    await storedUpTo(walden, (await leaveMark(server, 'before')).lsn);
    await walden.kill();
    await server.stop();
    const stored = unfinishedIn(walden);
    for (const path of filesBelow(join(walden.repositoryPath(), 'main', 'unfinished'))) {
      rmSync(join(walden.repositoryPath(), 'main', 'unfinished', path));
    }
    await walden.start();
    await until(() => unfinishedIn(walden).length > 0, { what: `one of ${stored.join()} to be stored again` });
    await server.start();
    await streaming(walden);
    await storedUpTo(walden, (await leaveMark(server, 'after')).lsn);
  });

  it('leaves a bounded number of objects under load, and none of a segment that is stored whole', async () => {
    const { server, walden } = scene;
    const load = await startLoad(server);
    const seen = new Set<string>();
    let most = 0;
    await until(
      () => {
        const names = unfinishedIn(walden);
        for (const name of names) seen.add(name);
        most = Math.max(most, names.length);
        return new Set([...seen].map((name) => name.slice(0, 24))).size >= 3 && seen.size >= 5;
      },
      { what: 'several segments to be stored several times', everyMs: 20, explain: () => walden.log() },
    );
    await load.stop();
    expect(most).toBeLessThanOrEqual(2);
    const { lsn } = await leaveMark(server, 'last');
    await storedUpTo(walden, lsn);
    await until(() => unfinishedIn(walden).length === 1, { what: 'what was superseded to be removed' });
    const segment = partialOf(walden).segment;
    expect(unfinishedIn(walden)[0]!.startsWith(segment)).toBe(true);
    await receivedNow(server, walden);
    const { lsn: next } = await leaveMark(server, 'next');
    await storedUpTo(walden, next);
    await until(() => unfinishedIn(walden).every((name) => !name.startsWith(segment)), {
      what: 'that of the whole segment to be removed',
    });
    // It is no file of the archive.
    expect(await walden.run('wal', 'list', 'main')).not.toContain('partial');
    await walden.run('catalog', 'rebuild');
    expect(await walden.log()).not.toMatch(/unfinished.*(damaged|header)/);
  });

  it('takes the spool where that has more', async () => {
    const { server, walden } = scene;
    const { lsn } = await leaveMark(server, 'stored');
    await storedUpTo(walden, lsn);
    await restartWith(walden, (text) => text.replace(INTERVAL, ''));
    const later = await leaveMark(server, 'in the spool');
    await until(async () => parseLsn((await planOf(walden)).unfinished?.end ?? '0/0') >= parseLsn(later.lsn), {
      what: 'the plan to know of it',
    });
    expect((await planOf(walden)).unstoredSegments).toBe(1);
    const restored = await restoreAndStart(scene, []);
    expect(await marksOf(restored)).toEqual(expect.arrayContaining(['in the spool', 'stored']));
    await restored.dispose();
    await restartWith(walden, (text) => `${text}${INTERVAL}\n`);
  });

  it('restores it without a service, from the repository alone', async () => {
    const { server, walden } = scene;
    const { lsn } = await leaveMark(server, 'for one without a service');
    await storedUpTo(walden, lsn);
    await walden.kill();
    await server.kill();
    const to = freshTarget();
    await walden.run('restore', 'main', '--repository-path', walden.repositoryPath(), '--to', to);
    const name = [...unfinishedIn(walden)].sort().at(-1);
    expect(readdirSync(join(to, 'pg_wal'))).toContain(name!.slice(0, 24));
    await startAgain(scene);
  });

  it('leaves what may not be removed, and says so once', async () => {
    const { server, walden } = scene;
    const append = 'driver = "local"\naccess = "append-only"';
    await restartWith(walden, (text) => text.replace('driver = "local"', append));
    for (const mark of ['one', 'two', 'three']) {
      const { lsn } = await leaveMark(server, mark);
      await storedUpTo(walden, lsn);
    }
    expect(unfinishedIn(walden).length).toBeGreaterThanOrEqual(3);
    const told = (await walden.log()).split('\n').filter((line) => line.includes('nothing may be removed'));
    expect(told).toHaveLength(1);
    expect(await walden.log()).not.toContain('the unfinished segment is not stored');
  });

  it('passes over one that is damaged, and says so', async () => {
    const { server, walden } = scene;
    await receivedNow(server, walden);
    const { lsn } = await leaveMark(server, 'damaged');
    await storedUpTo(walden, lsn);
    await walden.kill();
    await server.kill();
    rmSync(walden.stateDirectory, { recursive: true });
    const directory = join(walden.repositoryPath(), 'main', 'unfinished');
    for (const path of filesBelow(directory).map((object) => join(directory, object))) {
      const bytes = readFileSync(path);
      const middle = (WAL_HEADER_BYTES + bytes.length) >> 1;
      bytes[middle] = bytes[middle]! ^ 1;
      // A new file: what is stored may not be written to.
      rmSync(path);
      writeFileSync(path, bytes);
    }
    await walden.start();
    await catalogWhole(walden);
    const { unfinished, notes } = await planOf(walden);
    expect(unfinished).toBeNull();
    expect(notes.join('\n')).toContain('an unfinished segment in repository local cannot be used');
  });
});
