import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { JobDocument } from '../../src/service/api.ts';
import { writeConfig } from './config-file.ts';
import { runWalden, startWalden } from './run-walden.ts';
import { type Asked, StandInService } from './stand-in-service.ts';

const NAME = '000000010000000000000007';
let directory: string;
let socket: string;
let config: string;
let service: StandInService | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'walden-cli-'));
  ({ socket, config } = writeConfig(directory));
});
afterEach(async () => {
  await service?.close();
  service = undefined;
  rmSync(directory, { recursive: true });
});

async function serve(answer: ConstructorParameters<typeof StandInService>[0]): Promise<StandInService> {
  service = new StandInService(answer);
  await service.listen(socket);
  return service;
}

function job(change: Partial<JobDocument>): JobDocument {
  return {
    id: 'job-1',
    kind: 'backup',
    cluster: 'main',
    state: 'running',
    startedAt: '2026-11-22T02:15:00.000000Z',
    finishedAt: null,
    progress: { phase: 'copy', doneBytes: 1, totalBytes: 2, files: 1, bytesPerSecond: 1 },
    error: null,
    result: null,
    ...change,
  };
}

function failure(code: string, message: string, status = 409) {
  return { status, document: { code, message, hint: 'do this', details: { key: 1 } } };
}

describe('asking the service', () => {
  it('prints one document with its format for --json', async () => {
    await serve(() => ({
      document: { version: '0.1.0', pid: 1, startedAt: '2026-11-22T02:15:00Z', clusters: ['main'] },
    }));
    const { status, stdout } = await runWalden(['ping', '--json', '--config', config]);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ format: 1, version: '0.1.0', clusters: ['main'] });
  });

  it("ends with the status of the service's error and shows its message and hint", async () => {
    await serve(() => failure('LOCK_HELD', 'a backup of cluster main is running'));
    const { status, stdout, stderr } = await runWalden(['backup', 'main', '--config', config]);
    expect({ status, stdout }).toEqual({ status: 60, stdout: '' });
    expect(stderr).toBe('walden: a backup of cluster main is running\nHINT: do this\n');
  });

  it('says so when something else answers on the socket', async () => {
    await serve(() => ({ text: '<html>' }));
    const { status, stderr } = await runWalden(['status', '--config', config]);
    expect(status).toBe(4);
    expect(stderr).toContain('is not Walden');
  });

  it('keeps names that look like paths inside one part of the request', async () => {
    const { asked } = await serve(() => ({ document: { cluster: 'x', ranges: [] } }));
    await runWalden(['wal', 'list', '../../x', '--config', config]);
    expect(asked.map(({ path }) => path)).toEqual(['/v1/clusters/..%2F..%2Fx/wal']);
  });

  it('shows the files of a backup as they come', async () => {
    const lines = ['base/5/1', 'base/5/2'].map((path) =>
      JSON.stringify({ path, type: 'file', bytes: 8192, mode: 384, modifiedAt: null, sha256: null }),
    );
    await serve(({ path }) => (path.endsWith('/backups/latest/files') ? { text: `${lines.join('\n')}\n` } : undefined));
    const { stdout } = await runWalden(['show', 'main', '--files', '--config', config]);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.trim().split(/ {2,}/)),
    ).toEqual([
      ['0600', '8 KiB', 'base/5/1'],
      ['0600', '8 KiB', 'base/5/2'],
    ]);
  });
});

describe('following a job', () => {
  it('asks until it is done and shows what came of it', async () => {
    let polls = 0;
    const { asked } = await serve(({ method }) => {
      if (method === 'POST') return { status: 202, document: { job: job({}) } };
      polls += 1;
      return {
        document: polls < 3 ? job({}) : job({ state: 'done', progress: null, result: { differences: ['one'] } }),
      };
    });
    const { status, stdout } = await runWalden(['catalog', 'rebuild', '--config', config]);
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'the catalog was built anew; what differed:\n  one\n' });
    expect(asked.filter(({ path }) => path === '/v1/jobs/job-1')).toHaveLength(3);
  });

  it("ends with the status of the job's failure", async () => {
    const error = { code: 'SERVER_UNREACHABLE', message: 'unable to connect', hint: 'look', details: {} };
    await serve(({ method }) =>
      method === 'POST'
        ? { document: { job: job({}) } }
        : { document: job({ state: 'failed', error, progress: null }) },
    );
    const { status, stderr } = await runWalden(['backup', 'main', '--config', config]);
    expect({ status, stderr }).toEqual({ status: 10, stderr: 'walden: unable to connect\nHINT: look\n' });
  });

  it('does not wait when told not to', async () => {
    const { asked } = await serve(() => ({ document: { job: job({}) } }));
    const words = [
      'backup',
      'main',
      '--no-wait',
      '--workers',
      '2',
      '--compression-level',
      '5',
      '--label',
      'x',
      '--config',
      config,
    ];
    const { stdout } = await runWalden(words);
    expect(stdout).toBe('started job job-1; watch it with: walden job show job-1\n');
    expect(JSON.parse(asked[0]!.body)).toEqual({ workers: 2, compressionLevel: 5, label: 'x' });
  });

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'cancels it on %s, waits for its end and says interrupted',
    async (signal) => {
      const error = { code: 'INTERRUPTED', message: 'the job was cancelled', hint: 'begin it again', details: {} };
      let sent = false;
      const { asked } = await serve(({ method, path }) => {
        if (path.endsWith('/cancel')) return { document: job({ state: 'cancelled', error, progress: null }) };
        if (method === 'POST') return { document: { job: job({}) } };
        if (!sent) child.process.kill(signal);
        sent = true;
        return { document: job({}) };
      });
      const child = startWalden(['backup', 'main', '--config', config]);
      const { status, stderr } = await child.outcome;
      expect(status).toBe(63);
      expect(stderr).toContain('walden: the job was cancelled');
      expect(asked.filter(({ path }) => path === '/v1/jobs/job-1/cancel')).toHaveLength(1);
    },
  );

  it('leaves at once on a second SIGINT', async () => {
    await serve(({ method, path }) => {
      // A cancellation that never ends: only the second signal helps.
      if (path.endsWith('/cancel')) {
        child.process.kill('SIGINT');
        return { document: job({}) };
      }
      if (method === 'POST') return { document: { job: job({}) } };
      child.process.kill('SIGINT');
      return { document: job({}) };
    });
    const child = startWalden(['backup', 'main', '--config', config]);
    expect((await child.outcome).status).toBe(63);
  });
});

describe('the request for a restore', () => {
  it('carries the target as it was written and absolute paths', async () => {
    const { asked } = await serve(({ method }) =>
      method === 'POST'
        ? { document: { job: job({ kind: 'restore' }) } }
        : {
            document: job({
              state: 'done',
              progress: null,
              result: { warnings: ['look at this'], startCommand: 'pg_ctl -D /x start' },
            }),
          },
    );
    const words = [
      'restore',
      'main',
      '--to',
      'new',
      '--time',
      '10 minutes ago',
      '--action',
      'promote',
      '--config',
      config,
    ];
    const { status, stdout } = await runWalden(words, { cwd: directory });
    expect(status).toBe(0);
    expect(stdout).toContain(
      'WARNING: look at this\nstart it, as the user of PostgreSQL, with:\n  pg_ctl -D /x start\n',
    );
    expect(JSON.parse(asked[0]!.body)).toEqual({
      target: { kind: 'time', value: '10 minutes ago' },
      to: join(directory, 'new'),
      action: 'promote',
    });
  });
});

describe('wal push', () => {
  const push = (path: string, cwd: string) => runWalden(['wal', 'push', 'main', path, '--config', config], { cwd });
  const segment = () => join(directory, 'data/pg_wal', NAME);
  const paths = (asked: readonly Asked[]) => asked.map(({ method, path }) => `${method} ${path}`);

  it('lets the service read a file of the configured data directory', async () => {
    writeFileSync(segment(), 'wal');
    const { asked } = await serve(() => ({ document: { name: NAME } }));
    expect((await push(`pg_wal/${NAME}`, join(directory, 'data'))).status).toBe(0);
    expect(paths(asked)).toEqual([`POST /v1/clusters/main/wal/${NAME}/push`]);
  });

  it('uploads a file from anywhere else, for it may be a restored copy', async () => {
    mkdirSync(join(directory, 'copy/pg_wal'), { recursive: true });
    writeFileSync(join(directory, 'copy/pg_wal', NAME), 'other wal');
    const { asked } = await serve(() => ({ document: { name: NAME } }));
    expect((await push(`pg_wal/${NAME}`, join(directory, 'copy'))).status).toBe(0);
    expect(paths(asked)).toEqual([`PUT /v1/clusters/main/wal/${NAME}`]);
    expect(asked[0]!.body).toBe('other wal');
  });

  it('gives up in time when the service does not answer, with a status at which PostgreSQL asks again', async () => {
    writeFileSync(segment(), 'wal');
    writeFileSync(config, `${readFileSync(config, 'utf8')}wal_push_timeout = 1\n`);
    await serve(() => 'never');
    const { status, stderr } = await push(`pg_wal/${NAME}`, join(directory, 'data'));
    expect(status).toBe(42);
    expect(stderr).toContain(`no answer for ${NAME} within 1 s`);
  });

  it('believes an acknowledgement only while it is not older than the file', async () => {
    writeFileSync(segment(), 'wal');
    mkdirSync(join(directory, 'state/spool/main/push'), { recursive: true });
    const acknowledgement = join(directory, 'state/spool/main/push', `${NAME}.ok`);
    writeFileSync(acknowledgement, '123 1790000000\n');
    writeFileSync(join(directory, 'data/postmaster.pid'), `123\n${directory}/data\n1790000000\n`);
    const { asked } = await serve(() => ({ document: { name: NAME } }));
    utimesSync(segment(), 1000, 1000);
    utimesSync(acknowledgement, 1000, 1000);
    expect((await push(`pg_wal/${NAME}`, join(directory, 'data'))).status).toBe(0);
    expect(asked).toEqual([]);
    utimesSync(acknowledgement, 999, 999);
    expect((await push(`pg_wal/${NAME}`, join(directory, 'data'))).status).toBe(0);
    expect(asked).toHaveLength(1);
  });
});

describe('wal fetch', () => {
  const fetch = (cwd = directory) =>
    runWalden(['wal', 'fetch', 'main', NAME, 'RECOVERYXLOG', '--config', config], { cwd });

  it('moves what the service brought to where PostgreSQL wants it', async () => {
    await serve(() => {
      writeFileSync(join(directory, 'prefetched'), 'wal');
      return { document: { path: join(directory, 'prefetched') } };
    });
    expect(await fetch()).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(readFileSync(join(directory, 'RECOVERYXLOG'), 'utf8')).toBe('wal');
    expect(existsSync(join(directory, 'prefetched'))).toBe(false);
  });

  it('says 1, without a word, for what is proven absent', async () => {
    await serve(() => failure('ARCHIVE_FILE_MISSING', 'no repository has it', 404));
    expect(await fetch()).toEqual({ status: 1, stdout: '', stderr: '' });
  });

  it('asks again while that can help', async () => {
    let calls = 0;
    await serve(() => {
      calls += 1;
      if (calls < 3) return failure('STORAGE_UNAVAILABLE', 'the store does not answer', 503);
      writeFileSync(join(directory, 'prefetched'), 'wal');
      return { document: { path: join(directory, 'prefetched') } };
    });
    expect((await fetch()).status).toBe(0);
    expect(calls).toBe(3);
  });

  it('stops recovery at a failure that no waiting mends', async () => {
    await serve(() => failure('CHECKSUM_MISMATCH', 'the object is damaged'));
    expect((await fetch()).status).toBe(200);
  });
});
