import { utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { BackupStart } from '../../catalog/catalog.ts';
import { chooseBackupId } from '../../src/backup/choose-id.ts';
import { neededWal, waitForWal } from '../../src/backup/wait-for-wal.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { parseLsn, timelineId } from '../../src/postgres/lsn.ts';
import { microsFromDate } from '../../src/postgres/timestamp.ts';
import { currentServerRun } from '../../src/postgres/server-run.ts';
import { segmentBytes } from '../../src/postgres/wal-name.ts';
import { WalPusher } from '../../src/wal/push.ts';
import { StandInService } from '../cli/stand-in-service.ts';
import { newDirectory } from '../support/sandbox.ts';
import { type Outcome, programDirectory, runProgram } from '../support/walden.ts';
import { beginServerRun, createWalPool, MAIN, openLocalRepository, setUpWal } from '../support/wal-setup.ts';

const HOUR_MS = 3_600_000;

/** A clock that somebody sets: `set` changes what it says, sleeping takes as long as it says. */
function steppingClock(): Clock & { set(by: number): void; slept: number } {
  let now = Date.parse('2026-11-25T12:00:00Z');
  return {
    slept: 0,
    now: () => new Date(now),
    set(by) {
      now += by;
    },
    sleep(milliseconds) {
      now += milliseconds;
      this.slept += milliseconds;
      return Promise.resolve();
    },
  };
}

describe('a clock that is set back or forward', () => {
  const pool = createWalPool();
  afterAll(() => pool.close());

  it('changes nothing about what is archived, refused and acknowledged', async () => {
    const setup = await setUpWal(pool, [await openLocalRepository('local')]);
    const clock = steppingClock();
    const pusher = new WalPusher(
      { ...setup.context, clock },
      { dataDirectory: setup.dataDirectory, spool: setup.spool },
    );
    for (const [number, by] of [
      [3n, 0],
      [4n, -48 * HOUR_MS],
      [5n, 96 * HOUR_MS],
    ] as const) {
      clock.set(by);
      const name = setup.segment(number);
      await pusher.push(name);
      await pusher.push(name);
      expect(setup.acknowledged()).toContain(`${name}.ok`);
    }
    const [range] = await setup.catalog.walRanges(setup.context.repositories[0]!.name, MAIN);
    expect(range).toMatchObject({ first: 3n, last: 5n });
    await pusher.stop();
  });

  it('never gives the id of a backup again', async () => {
    const setup = await setUpWal(pool, [await openLocalRepository('local')]);
    const { catalog, repositories } = setup.context;
    const clock = steppingClock();
    const ids = new Set<string>();
    for (const by of [0, 0, -1000, -1000, 5000, -5000]) {
      clock.set(by);
      const id = await chooseBackupId({ catalog, repositories }, MAIN, clock.now());
      expect(ids).not.toContain(id);
      ids.add(id);
      const start: BackupStart = {
        ...{ repository: repositories[0]!.name, cluster: MAIN, id, label: 'test' },
        startedAt: microsFromDate(clock.now()),
      };
      await catalog.openBackup([start]);
      await catalog.failBackup(start.repository, MAIN, id, {
        code: 'INTERRUPTED',
        message: 'x',
        hint: 'x',
        details: {},
      });
    }
  });

  it.each([-HOUR_MS, HOUR_MS])(
    'neither cuts the wait of a backup for its WAL short nor makes it longer (%i ms)',
    async (by) => {
      const setup = await setUpWal(pool, [await openLocalRepository('local')]);
      const clock = steppingClock();
      const sleep = clock.sleep.bind(clock);
      clock.sleep = async (milliseconds) => {
        if (clock.slept === 5000) clock.set(by);
        await sleep(milliseconds);
      };
      const needed = neededWal(timelineId(1), parseLsn('0/300028'), parseLsn('0/300100'), segmentBytes(1 << 20));
      const wait = { signal: new AbortController().signal, patienceSeconds: 20 };
      await expect(waitForWal({ ...setup.context, clock }, MAIN, needed, wait)).rejects.toMatchObject({
        code: 'ARCHIVE_TIMEOUT',
      });
      expect(clock.slept / 1000).toBeCloseTo(20, 0);
    },
  );

  it('has no acknowledgement believed that another run of the server was given, however new it is', async () => {
    const setup = await setUpWal(pool, [await openLocalRepository('local')]);
    const name = setup.segment(3n);
    const directory = newDirectory('clock');
    const config = join(directory, 'script.conf');
    const text = {
      cluster: 'main',
      socket: join(directory, 's'),
      spool: setup.spool.directory,
      data: setup.dataDirectory,
    };
    const lines = Object.entries({ ...text, push_timeout: '5' }).map(([key, value]) => `walden_${key}='${value}'\n`);
    writeFileSync(config, lines.join(''));
    const service = new StandInService(() => ({ text: '20\nasked\n' }));
    await service.listen(text.socket);
    const push = (): Promise<Outcome> =>
      runProgram(join(programDirectory, 'walden-push'), [config, `pg_wal/${name}`], { cwd: setup.dataDirectory });

    await setup.spool.acknowledge(name, (await currentServerRun(setup.dataDirectory))!);
    expect(await push()).toMatchObject({ status: 0 });
    const acknowledgement = join(setup.spool.directory, 'push', `${name}.ok`);
    const hour = Date.now() / 1000 + 3600;
    utimesSync(acknowledgement, hour, hour);
    beginServerRun(setup.dataDirectory, 1_790_000_777);
    expect(await push()).toMatchObject({ status: 20 });
    writeFileSync(acknowledgement, '');
    expect(await push()).toMatchObject({ status: 20 });
    // A clock that went back after the file was written only makes the fast path slow.
    const run = beginServerRun(setup.dataDirectory);
    await setup.spool.acknowledge(name, run);
    utimesSync(join(setup.dataDirectory, 'pg_wal', name), hour, hour);
    expect(await push()).toMatchObject({ status: 20 });
    expect(service.asked).toHaveLength(3);
    await service.close();
  });
});
