import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { BackupListDocument } from '../../src/service/api.ts';
import { archived, archiveNow, switchSegment } from '../support/archiving.ts';
import { newDirectory } from '../support/sandbox.ts';
import { leaveMark, type Scene, startScene } from '../support/scene.ts';
import { beside, fillDisk, freeDisk, remount, seenBy, whyNoDisks, withinDisks } from '../support/small-disk.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { type Outcome, programDirectory, runProgram } from '../support/walden.ts';

const whyNot = whyNoDisks();
if (whyNot !== undefined) console.warn(whyNot);

/** The service sees small disks where its directories are; PostgreSQL and the scripts run beside it as ever. */
describe.skipIf(whyNot !== undefined)('a disk that is full or read-only', () => {
  let scene: Scene;
  let service: number;
  let paths: Readonly<Record<'repository' | 'state' | 'acknowledgements' | 'prefetched' | 'target', string>>;

  beforeAll(async () => {
    const spools = newDirectory('spool');
    const spool = join(spools, 'main');
    const serviceWithin = (directory: string): readonly string[] => {
      paths = {
        repository: join(directory, 'repository-local'),
        state: join(directory, 'state'),
        acknowledgements: join(spool, 'push'),
        prefetched: join(spool, 'fetch'),
        target: join(directory, 'target'),
      };
      const { repository, state, acknowledgements, prefetched, target } = paths;
      for (const path of [acknowledgements, prefetched, target]) mkdirSync(path, { recursive: true });
      return withinDisks([
        { path: repository, megabytes: 48 },
        { path: state, megabytes: 8 },
        { path: acknowledgements, megabytes: 1 },
        { path: prefetched, megabytes: 4 },
        { path: target, megabytes: 32 },
      ]);
    };
    scene = await startScene({
      version: newestVersion,
      initdbArguments: ['--wal-segsize=1'],
      walden: { serviceWithin, clusterSettings: [`spool_directory = "${spools}"`, 'wal_fetch_timeout = 2'] },
    });
    service = scene.walden.pid!;
  });
  afterAll(() => scene.dispose());
  afterEach(() => {
    for (const path of Object.values(paths)) {
      remount(service, path, 'rw');
      freeDisk(service, path);
    }
  });

  /** Breaks something, waits until PostgreSQL has heard of it, mends it, and waits until all is archived by itself. */
  async function expectToldAndMended(code: string, path: string, fault: () => void, mend: () => void): Promise<void> {
    const { server, walden } = scene;
    const before = (await server.log()).length;
    fault();
    const segment = await switchSegment(server);
    const told = await until(async () => /walden-push: .*/.exec((await server.log()).slice(before))?.[0], {
      what: `PostgreSQL to be told of ${code}`,
      explain: () => walden.log(),
    });
    expect(told).toContain(`(${code})`);
    expect(told).toContain(segment);
    expect(told).toContain(path);
    expect(existsSync(join(server.dataDirectory, 'pg_wal/archive_status', `${segment}.done`))).toBe(false);
    mend();
    await archived(server, await switchSegment(server));
    await archived(server, segment);
    expect(await walden.json('wal', 'gaps', 'main')).toMatchObject({ gaps: [] });
    expect(existsSync(objectOf(segment))).toBe(true);
  }

  const objectOf = (segment: string): string =>
    seenBy(service, join(paths.repository, 'main/wal', segment.slice(0, 8), segment.slice(8, 16), `${segment}.zst`));

  it.each(['repository', 'state'] as const)(
    'as %s, full: told, nothing acknowledged, goes on by itself',
    async (place) => {
      const path = paths[place];
      await expectToldAndMended(
        'STORAGE_FULL',
        path,
        () => {
          fillDisk(service, path);
        },
        () => {
          freeDisk(service, path);
        },
      );
    },
  );

  it('as repository, read-only: told, nothing acknowledged, goes on by itself', async () => {
    const path = paths.repository;
    await expectToldAndMended(
      'LOCAL_IO',
      path,
      () => {
        remount(service, path, 'ro');
      },
      () => {
        remount(service, path, 'rw');
      },
    );
  });

  it('for acknowledgements, is no error: what is durable is durable', async () => {
    const { server } = scene;
    fillDisk(service, paths.acknowledgements);
    await archiveNow(server);
    remount(service, paths.acknowledgements, 'ro');
    await archiveNow(server);
    expect(
      await server.value('select last_archived_wal > coalesce(last_failed_wal, $1) from pg_stat_archiver', ['']),
    ).toBe('true');
  });

  /** As PostgreSQL calls it, where the service's spool is seen. */
  async function fetch(segment: string, directory: string): Promise<Outcome> {
    const [program = '', ...words] = [
      ...[...beside(service), '/bin/sh', '-c', 'cd "$1" && shift && exec "$@"', 'sh', directory],
      ...[join(programDirectory, 'walden-fetch'), join(paths.prefetched, '../script.conf'), segment, 'here'],
    ];
    return await runProgram(program, words);
  }

  it('for prefetched files, full: never "absent", and serves as soon as there is room', async () => {
    const { server, walden } = scene;
    const segment = await archiveNow(server);
    fillDisk(service, paths.prefetched);
    const outcome = await fetch(segment, walden.directory);
    expect(outcome.status).toBe(200);
    expect(outcome.stderr).toContain('(STORAGE_FULL)');
    expect(outcome.stderr).toContain(`unable to write ${segment} to ${paths.prefetched}`);
    freeDisk(service, paths.prefetched);
    expect(await fetch(segment, walden.directory)).toMatchObject({ status: 0 });
  });

  it('for prefetched files that nobody takes, makes room by itself', async () => {
    const { server, walden } = scene;
    const segments: string[] = [];
    for (let count = 0; count < 6; count += 1) segments.push(await archiveNow(server));
    // Asked for out of order, as by recoveries that ended: each leaves what was read ahead, more than the disk holds.
    for (const segment of segments) {
      const name = `/v1/clusters/main/wal/${segment}/fetch`;
      const words = ['--silent', '--unix-socket', join(walden.directory, 'walden.sock'), '--request', 'POST'];
      const answer = await runProgram('curl', [...words, '--header', 'Accept: text/plain', `http://walden${name}`]);
      expect(answer.stdout.trim()).toBe('0');
    }
    expect(await fetch(segments.at(-1)!, walden.directory)).toMatchObject({ status: 0 });
  });

  it('under a backup: it fails by name, leaves nothing, and the next one succeeds', async () => {
    const { server, walden } = scene;
    await leaveMark(server, 'kept');
    fillDisk(service, paths.repository);
    const outcome = await walden.attempt('backup', 'main');
    expect(outcome.status).toBe(24);
    expect(outcome.stderr).toContain(paths.repository);
    freeDisk(service, paths.repository);
    await walden.run('backup', 'main');
    const { backups } = (await walden.json('list', 'main')) as BackupListDocument;
    expect(backups.map(({ state }) => state)).toEqual(['complete']);
  });

  it('under a restore: it fails by name, cannot be started, and is begun again with success', async () => {
    const { walden } = scene;
    const to = join(paths.target, 'data');
    fillDisk(service, paths.target);
    const full = await walden.attempt('restore', 'main', '--to', to);
    expect(full.status).toBe(24);
    expect(full.stderr).toContain(to);
    expect(existsSync(seenBy(service, join(to, 'global/pg_control')))).toBe(false);
    freeDisk(service, paths.target);
    remount(service, paths.target, 'ro');
    const readOnly = await walden.attempt('restore', 'main', '--to', to);
    expect(readOnly.status).toBe(64);
    expect(readOnly.stderr).toContain(to);
    remount(service, paths.target, 'rw');
    await walden.run('restore', 'main', '--to', to);
    expect(existsSync(seenBy(service, join(to, 'global/pg_control')))).toBe(true);
  });
});
