import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlanDocument } from '../../src/service/api.ts';
import type { DrillDocument, DrillListDocument } from '../../src/service/api-proof.ts';
import type { JobListDocument } from '../../src/service/watch-api.ts';
import { archiveNow } from '../support/archiving.ts';
import { binDirectory } from '../support/postgres-binaries.ts';
import { newDirectory } from '../support/sandbox.ts';
import { leaveMark, type Mark, type Scene, startScene } from '../support/scene.ts';
import { damage, packObjects } from '../support/stored.ts';
import { newestVersion, testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';

describe.each(testedVersions)('a drill, PostgreSQL %i', (version) => {
  let scene: Scene;
  let first: Mark;
  const tablespace = join(newDirectory('tablespace'), 'space');
  const checks = newDirectory('checks');
  beforeAll(async () => {
    writeFileSync(
      join(checks, 'marks.sql'),
      "select count(*) = 2 from marks; select false from marks where mark = 'no';",
    );
    scene = await startScene({
      version,
      walden: {
        serviceWithin: () => ['/usr/bin/env', 'NOTIFY_SOCKET=/nonexistent/notify'],
        clusterSettings: [`pg_bin = "${binDirectory(version)}"`, `drill_checks = ["${join(checks, 'marks.sql')}"]`],
      },
    });
    const { server, walden } = scene;
    await server.query("alter system set shared_buffers = '48MB'");
    await makeTablespace();
    await walden.run('backup', 'main');
    first = await leaveMark(server, 'one');
    await leaveMark(server, 'two');
    await archiveNow(server);
  });
  afterAll(() => scene.dispose());

  async function makeTablespace(): Promise<void> {
    mkdirSync(tablespace, { mode: 0o700 });
    await scene.server.query(`create tablespace space location '${tablespace}'`);
    await scene.server.query('create table placed tablespace space as select i from generate_series(1, 100) i');
  }

  async function drills(): Promise<readonly DrillDocument[]> {
    return ((await scene.walden.json('show', 'main', '--drills')) as DrillListDocument).drills;
  }

  /** What is left of drills: nothing, ever. */
  function leftovers(): readonly string[] {
    const place = join(scene.walden.stateDirectory, 'drills');
    return existsSync(place) ? readdirSync(place) : [];
  }

  it('restores, recovers, checks, measures, leaves evidence and nothing else', async () => {
    const { walden } = scene;
    const { drill } = (await walden.json('drill', 'main')) as { readonly drill: DrillDocument };
    expect(drill).toMatchObject({ outcome: 'passed', repository: 'local', error: null });
    expect(drill.restore!.bytes).toBeGreaterThan(1e6);
    expect(drill.recovery!.seconds).toBeGreaterThan(0);
    expect(drill.reached).toMatchObject({ timeline: 1, lastCommit: expect.any(String) as string });
    expect(drill.checks.map(({ outcome }) => outcome)).toEqual(['passed', 'passed']);
    expect(drill.checks[0]!.name).toMatch(/^(pg_amcheck|bt_index_check)$/);
    expect(await drills()).toEqual([drill]);
    expect(leftovers()).toEqual([]);
    expect(await walden.run('show', 'main', '--drills')).toContain('passed');
    const plan = (await walden.json('plan', 'main')) as PlanDocument;
    expect(plan.estimate!.by).toContain('the drill of');
    expect(plan.estimatedSeconds).toBeGreaterThan(0);
  });

  it('starts a server that cannot speak to the service manager in the name of the service', async () => {
    const check = join(checks, 'environment.sql');
    writeFileSync(
      check,
      `create temp table environment (line text);
       copy environment from program 'env' (delimiter E'\\x01');
       select count(*) > 0 from environment;
       select false from environment where line like 'NOTIFY_SOCKET=%';`,
    );
    const { drill } = (await scene.walden.json('drill', 'main', '--sql', check)) as { readonly drill: DrillDocument };
    expect(drill.checks.at(-1)).toMatchObject({ outcome: 'passed' });
  });

  it('stops at the target, in a scratch directory of its own', async () => {
    const scratch = newDirectory('scratch');
    const one = join(checks, 'one.sql');
    writeFileSync(
      one,
      "select count(*) = 1 from marks where mark = 'one'; select count(*) = 0 from marks where mark = 'two'",
    );
    const words = ['--lsn', first.lsn, '--scratch', scratch, '--sql', `postgres=${one}`];
    const { drill } = (await scene.walden.json('drill', 'main', ...words)) as { readonly drill: DrillDocument };
    expect(drill.checks.at(-1)).toMatchObject({ name: one, outcome: 'passed' });
    expect(readdirSync(scratch)).toEqual([]);
  });

  it.runIf(version === newestVersion)('fails by name where a check does, and says what it returned', async () => {
    const wrong = join(checks, 'wrong.sql');
    writeFileSync(wrong, 'select true; select count(*) > 1000, count(*) from marks');
    const outcome = await scene.walden.attempt('drill', 'main', '--sql', wrong, '--sql', join(checks, 'marks.sql'));
    expect(outcome.status).toBe(56);
    expect(outcome.stderr).toContain('statement 2 returned [false,"2"]');
    const [newest] = await drills();
    expect(newest).toMatchObject({ outcome: 'failed', error: { code: 'DRILL_FAILED' } });
    expect(newest!.checks.map((check) => check.outcome)).toEqual(['passed', 'failed', 'passed']);
    expect(leftovers()).toEqual([]);
  });

  it.runIf(version === newestVersion)('can be cancelled, and leaves nothing, no evidence either', async () => {
    const { walden } = scene;
    const before = await drills();
    const job = await runningDrill('select pg_sleep(600)');
    await walden.run('job', 'cancel', job);
    expect((await jobs())[0]).toMatchObject({ id: job, state: 'cancelled' });
    expect(await drills()).toEqual(before);
    expect(leftovers()).toEqual([]);
  });

  it.runIf(version === newestVersion)(
    'is one at a time, and what a killed service leaves of it is swept by the next',
    async () => {
      const { walden } = scene;
      await runningDrill('select pg_sleep(600)');
      expect((await walden.attempt('drill', 'main')).status).toBe(60);
      const [name] = leftovers().filter((one) => !one.endsWith('.json'));
      const pidFile = join(walden.stateDirectory, 'drills', name!, 'data', 'postmaster.pid');
      const pid = Number.parseInt(readFileSync(pidFile, 'utf8'), 10);
      await walden.kill();
      expect(() => process.kill(pid, 0)).not.toThrow();
      await walden.start();
      expect(leftovers()).toEqual([]);
      expect(() => process.kill(pid, 0)).toThrow();
      expect(await walden.log()).toContain('removed what an interrupted drill left');
    },
  );

  it.runIf(version === newestVersion)('fails where an object is damaged, which a backup does not show', async () => {
    const { walden } = scene;
    const [{ backup }] = (await drills()) as readonly [DrillDocument];
    const [pack] = packObjects(walden, backup!);
    await damage(pack!);
    expect((await walden.attempt('drill', 'main')).status).toBe(30);
    await damage(pack!);
    expect((await drills())[0]).toMatchObject({
      outcome: 'failed',
      restore: null,
      error: { code: 'CHECKSUM_MISMATCH' },
    });
    expect(leftovers()).toEqual([]);
  });

  async function jobs(): Promise<JobListDocument['jobs']> {
    return ((await scene.walden.json('job', 'list')) as JobListDocument).jobs;
  }

  /** A drill that has come to its checks, of which one takes long. */
  async function runningDrill(sql: string): Promise<string> {
    const { walden } = scene;
    const slow = join(checks, 'slow.sql');
    writeFileSync(slow, sql);
    const { job } = (await walden.json('drill', 'main', '--no-wait', '--sql', slow)) as {
      readonly job: { readonly id: string };
    };
    await until(async () => (await jobs()).find(({ id }) => id === job.id)?.progress?.phase === 'checks', {
      what: 'the drill to come to its checks',
      explain: () => walden.log(),
    });
    return job.id;
  }
});
