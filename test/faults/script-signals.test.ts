import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { archiveCommand, restoreCommand } from '../../src/config/command-line.ts';
import { StandInService } from '../cli/stand-in-service.ts';
import { childrenOf, signalProcess } from '../support/processes.ts';
import { newDirectory } from '../support/sandbox.ts';
import { until, within } from '../support/until.ts';
import { runProgram } from '../support/walden.ts';

const SHELLS = [
  { shell: 'dash', words: ['/usr/bin/dash'] },
  { shell: 'busybox sh', words: ['/usr/bin/busybox', 'sh'] },
  { shell: 'bash', words: ['/bin/bash'] },
].filter(({ words }) => existsSync(words[0]!));
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGPIPE'] as const;
const NAME = '000000010000000000000007';
const DEADLINE_MS = 180_000;

interface End {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Stands in the service's place; the scripts, curl, mv and the signals are real. */
describe.each(SHELLS)('the scripts of PostgreSQL, run by $shell', ({ shell, words }) => {
  let data: string;
  let spool: string;
  let config: string;
  let service: StandInService | undefined;

  beforeEach(() => {
    const directory = newDirectory('sig');
    [data, spool, config] = [join(directory, 'data'), join(directory, 'spool'), join(directory, 'script.conf')];
    for (const path of [join(data, 'pg_wal'), join(spool, 'push'), join(spool, 'fetch')]) {
      mkdirSync(path, { recursive: true });
    }
    writeFileSync(join(data, 'pg_wal', NAME), 'wal');
    writeFileSync(
      config,
      `walden_cluster='main'\nwalden_socket='${directory}/sock'\nwalden_spool='${spool}'\nwalden_data='${data}'\n` +
        `walden_push_timeout='5'\nwalden_fetch_timeout='5'\n`,
    );
  });
  afterEach(async () => {
    await service?.close();
    service = undefined;
  });

  async function serve(answer: ConstructorParameters<typeof StandInService>[0]): Promise<StandInService> {
    service = new StandInService(answer);
    await service.listen(join(config, '../sock'));
    return service;
  }

  const SCRIPTS = {
    push: () => ['-c', archiveCommand(config).replace('%p', `pg_wal/${NAME}`)],
    fetch: (name = NAME) => ['-c', restoreCommand(config).replace('%f', name).replace('%p', 'pg_wal/RECOVERYXLOG')],
  };

  /** A group of its own, as PostgreSQL's processes are: their signals go to the whole group. */
  function begin(script: keyof typeof SCRIPTS, path?: string): { child: ChildProcess; ended: Promise<End> } {
    const [program = '', ...more] = [...words, ...SCRIPTS[script]()];
    const env = path === undefined ? process.env : { ...process.env, PATH: `${path}:${process.env['PATH'] ?? ''}` };
    const child = spawn(program, more, { cwd: data, env, detached: true, stdio: 'ignore' });
    const ended = once(child, 'exit').then((): End => ({ status: child.exitCode, signal: child.signalCode }));
    return { child, ended: within(ended, DEADLINE_MS, `the end of walden-${script}`) };
  }

  /** PostgreSQL must never read the end of walden-fetch as "not in the archive", nor any end as success. */
  function expectNoAnswer(script: keyof typeof SCRIPTS, { status, signal }: End): void {
    const answered = status !== null && (script === 'fetch' ? status <= 125 : status === 0);
    expect(answered, `walden-${script} ended with ${status ?? signal ?? '?'}`).toBe(false);
  }

  function expectUntouched(): void {
    expect(readdirSync(join(data, 'pg_wal'))).toEqual([NAME]);
    expect(readdirSync(join(spool, 'push'))).toEqual([]);
  }

  describe.each(SIGNALS)('%s', (signal) => {
    it.each(['push', 'fetch'] as const)('to the group while walden-%s waits for the service', async (script) => {
      const { asked } = await serve(() => 'never');
      const { child, ended } = begin(script);
      await until(() => asked.length === 1, { what: 'the request', deadlineMs: DEADLINE_MS });
      process.kill(-child.pid!, signal);
      expectNoAnswer(script, await ended);
      expectUntouched();
    });

    it.each(['push', 'fetch'] as const)('to the group as soon as walden-%s is started', async (script) => {
      await serve(() => 'never');
      const { child, ended } = begin(script);
      process.kill(-child.pid!, signal);
      expectNoAnswer(script, await ended);
      expectUntouched();
    });

    it('to the group while walden-fetch moves what the service brought', async () => {
      const prefetched = join(spool, 'fetch', NAME);
      await serve(() => {
        writeFileSync(prefetched, 'wal');
        return { text: '0\n' };
      });
      const programs = slowMove();
      const { child, ended } = begin('fetch', programs);
      await until(() => existsSync(join(programs, 'begun')), { what: 'mv', deadlineMs: DEADLINE_MS });
      process.kill(-child.pid!, signal);
      expectNoAnswer('fetch', await ended);
      expectUntouched();
      // Nothing is lost: the next call finds it.
      const again = await runProgram(words[0]!, [...words.slice(1), ...SCRIPTS.fetch()], { cwd: data });
      expect(again).toMatchObject({ status: 0, stderr: '' });
      expect(readFileSync(join(data, 'pg_wal/RECOVERYXLOG'), 'utf8')).toBe('wal');
      expect(existsSync(prefetched)).toBe(false);
    });
  });

  it('ask again when only curl is killed', async () => {
    let calls = 0;
    const { asked } = await serve(() => {
      calls += 1;
      if (calls === 1) return 'never';
      writeFileSync(join(spool, 'fetch', NAME), 'wal');
      return { text: '0\n' };
    });
    const { child, ended } = begin('fetch');
    await until(() => asked.length === 1, { what: 'the request', deadlineMs: DEADLINE_MS });
    for (const pid of [...childrenOf(child.pid!)].flatMap((pid) => [...childrenOf(pid), pid])) {
      signalProcess(pid, 'SIGKILL');
    }
    expect(await ended).toEqual({ status: 0, signal: null });
  });

  it('tell PostgreSQL to ask again when curl is killed under walden-push', async () => {
    const { asked } = await serve(() => 'never');
    const { child, ended } = begin('push');
    await until(() => asked.length === 1, { what: 'the request', deadlineMs: DEADLINE_MS });
    for (const pid of [...childrenOf(child.pid!)].flatMap((pid) => [...childrenOf(pid), pid])) {
      signalProcess(pid, 'SIGKILL');
    }
    expect(await ended).toEqual({ status: 14, signal: null });
  });

  it('do not say that a file is absent when nobody reads their messages any more', async () => {
    const [program = '', ...more] = [...words, ...SCRIPTS.fetch('../x')];
    const child = spawn(program, more, { cwd: data, detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr.destroy();
    const [status, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    expectNoAnswer('fetch', { status, signal });
  });

  it('do not take a script.conf that is cut anywhere for an answer', async () => {
    await serve(() => ({ text: '1\n' }));
    const whole = readFileSync(config, 'utf8');
    for (let cut = 0; cut < whole.length - 1; cut += 7) {
      writeFileSync(config, whole.slice(0, cut));
      const run = (script: keyof typeof SCRIPTS) =>
        runProgram(words[0]!, [...words.slice(1), ...SCRIPTS[script]()], { cwd: data });
      const [fetched, pushed] = await Promise.all([run('fetch'), run('push')]);
      expect(fetched.status, `cut at ${cut}: ${fetched.stderr}`).toBe(200);
      expect(pushed.status, `cut at ${cut}`).toBeGreaterThan(0);
      expect(pushed.status).toBeLessThanOrEqual(125);
    }
    expectUntouched();
  });

  // bash tries for half a minute before it gives up.
  it.skipIf(shell === 'bash')('do not say that a file is absent when there is no process to be had', async () => {
    await serve(() => ({ text: '1\n' }));
    const limited = ['-c', 'ulimit -u 1 && exec "$@"', 'sh', ...words, ...SCRIPTS.fetch()];
    const { status } = await runProgram('/bin/bash', limited, { cwd: data });
    expect(status).toBeGreaterThan(125);
    writeFileSync(join(data, 'standby.signal'), '');
    const standby = await runProgram('/bin/bash', limited, { cwd: data });
    expect(standby.status).toBe(1);
  });

  /** A directory with an mv that says when it begins and then waits for ever. */
  function slowMove(): string {
    const directory = newDirectory('bin');
    const program = join(directory, 'mv');
    writeFileSync(program, `#!/bin/sh\n: >'${directory}/begun'\nexec sleep 1000\n`);
    chmodSync(program, 0o755);
    return directory;
  }
});
