import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackupListDocument, JobDocument } from '../../src/service/api.ts';
import { signature } from '../../src/service/hooks/post-webhook.ts';
import type { EventDocument, EventListDocument, JobListDocument } from '../../src/service/watch-api.ts';
import { archiveInto } from '../support/archiving.ts';
import { freePort } from '../support/free-port.ts';
import { metricsIn, namesIn } from '../support/metrics-text.ts';
import { startServer, type TestServer } from '../support/postgres-server.ts';
import { newDirectory } from '../support/sandbox.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import { appendConfiguration, createWalden, type WaldenHarness } from '../support/walden.ts';

const TOKEN = 'a token of nobody';
const SECRET = 'a secret of two';

interface Posted {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What receives webhooks; it refuses the first one. */
async function startReceiver(posted: Posted[]): Promise<Server> {
  const receiver = createServer((incoming, response) => {
    void buffer(incoming).then((bytes) => {
      posted.push({ headers: incoming.headers, body: bytes.toString() });
      response.writeHead(posted.length === 1 ? 503 : 204).end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  return receiver;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

async function ask(where: object, headers: Record<string, string> = {}): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    request({ path: '/metrics', ...where, headers }, (response) => {
      text(response).then((body) => {
        resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', body });
      }, reject);
    })
      .once('error', reject)
      .end();
  });
}

function secretFile(directory: string, name: string, secret: string): string {
  const path = join(directory, name);
  writeFileSync(path, `${secret}\n`, { mode: 0o600 });
  return path;
}

async function jobsOf(walden: WaldenHarness): Promise<JobListDocument> {
  return (await walden.json('jobs', 'main')) as JobListDocument;
}

async function eventsOf(walden: WaldenHarness): Promise<readonly EventDocument[]> {
  return ((await walden.json('events', 'main')) as EventListDocument).events;
}

describe('a service with schedules', () => {
  let server: TestServer;
  let walden: WaldenHarness;

  beforeAll(async () => {
    server = await startServer({
      version: newestVersion,
      settings: { archive_mode: 'on', wal_level: 'replica', summarize_wal: 'on' },
    });
    await server.query('create table bulk as select md5(i::text) from generate_series(1, 300000) i');
  });
  afterAll(async () => {
    await walden.kill();
    await server.dispose();
  });

  it('takes the first of its incremental backups in full, and tells hooks, events and metrics of all', async () => {
    const directory = newDirectory('hooks');
    const posted: Posted[] = [];
    const receiver = await startReceiver(posted);
    const port = await freePort();
    const tokenFile = secretFile(directory, 'token', TOKEN);
    walden = createWalden({
      clusters: { main: server },
      serviceSettings: [`metrics_listen = "127.0.0.1:${port}"`, `metrics_token_file = "${tokenFile}"`],
      clusterSettings: ['backup_source = "stream"'],
    });
    // The schedule comes after it: a backup of a server that does not archive would be refused, and count as failed.
    await walden.start();
    await archiveInto(server, walden);
    await walden.stop();
    const told = join(directory, 'told');
    const program = join(directory, 'tell');
    writeFileSync(
      program,
      `#!/bin/sh\nprintf '%s ' "$WALDEN_TOPIC" "$1" "\${WALDEN_CONFIG-none}" >>'${told}'\ncat >>'${told}'\necho >>'${told}'\n`,
    );
    chmodSync(program, 0o755);
    await appendConfiguration(walden, [
      '[schedule.often]',
      'cluster = "main"',
      'job = "incremental-backup"',
      'cron = "*/5 * * * * *"',
      'time_zone = "Europe/Berlin"',
      '[hook.command]',
      'on = ["backup", "incident"]',
      `command = ["${program}", "a word; with $signs"]`,
      '[hook.web]',
      'on = ["backup"]',
      `webhook = "http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook"`,
      `secret_file = "${secretFile(directory, 'secret', SECRET)}"`,
    ]);
    await walden.start();
    const ids = await until(
      async () => {
        const { backups } = (await walden.json('list', 'main')) as BackupListDocument;
        const complete = backups.filter(({ state }) => state === 'complete');
        return complete.length >= 2 && complete.map(({ id }) => id);
      },
      { what: 'two backups', explain: () => walden.log() },
    );
    expect(ids.map((id) => id.slice(-1)).slice(0, 2)).toEqual(['F', 'I']);

    const events = await until(
      async () => {
        const all = await eventsOf(walden);
        return all.filter(({ kind }) => kind === 'job-done').length >= 2 && all;
      },
      { what: 'the events' },
    );
    expect(events[0]).toMatchObject({ kind: 'service-started', level: 'info', cluster: null });
    expect(events.find(({ kind }) => kind === 'backup-became-full')).toMatchObject({
      subject: 'often',
      cluster: 'main',
    });
    const { upcoming } = await jobsOf(walden);
    expect(upcoming).toMatchObject([{ schedule: 'often', job: 'incremental-backup', timeZone: 'Europe/Berlin' }]);
    expect(await walden.run('jobs', 'main')).toMatch(/^NEXT .*\n.* often +incremental-backup +main /);

    const line = await until(
      () =>
        existsSync(told) &&
        readFileSync(told, 'utf8').split('\n').length > 1 &&
        readFileSync(told, 'utf8').split('\n')[0],
      {
        what: 'the command',
        explain: () => walden.log(),
      },
    );
    expect(line).toMatch(/^backup a word; with \$signs none \{"format":1,"hook":"command","topic":"backup",/);
    // The first was refused, and came again as it was.
    await until(() => posted.length >= 2, { what: 'the webhook', explain: () => walden.log() });
    const [first, again] = posted;
    expect(again!.body).toBe(first!.body);
    expect(again!.headers['walden-delivery']).toBe(first!.headers['walden-delivery']);
    expect(again!.headers['walden-signature']).toBe(
      signature(SECRET, String(again!.headers['walden-timestamp']), again!.body),
    );
    expect(JSON.parse(again!.body)).toMatchObject({ hook: 'web', event: { kind: 'job-done', cluster: 'main' } });

    const odd = join(directory, '0000000100000000000000FF');
    writeFileSync(odd, Buffer.alloc(16 * 1024 * 1024));
    expect((await walden.attempt('wal', 'push', 'main', odd)).status).not.toBe(0);
    await until(() => /^incident .*"kind":"wal-refused"/m.test(readFileSync(told, 'utf8')), {
      what: 'the incident',
      explain: () => walden.log(),
    });

    const authorization = `Bearer ${TOKEN}`;
    expect((await ask({ port })).status).toBe(401);
    expect((await ask({ port }, { authorization: `Bearer ${TOKEN}x` })).status).toBe(401);
    expect((await ask({ port, path: '/v1/jobs' }, { authorization })).status).toBe(404);
    const scraped = await until(
      async () => {
        const answer = await ask({ port }, { authorization });
        return answer.body.includes('walden_recoverable_window_start_timestamp_seconds{') && answer;
      },
      { what: 'the window in the metrics', explain: () => walden.log() },
    );
    expect({ status: scraped.status, type: scraped.type }).toEqual({
      status: 200,
      type: 'text/plain; version=0.0.4; charset=utf-8',
    });
    const metrics = metricsIn(scraped.body);
    const main = { cluster: 'main', repository: 'local' };
    expect(metrics.value('walden_repository_up', { repository: 'local' })).toBe(1);
    expect(metrics.value('walden_backups', main)).toBeGreaterThanOrEqual(1);
    expect(metrics.value('walden_backup_last_size_bytes', { ...main, type: 'full' })).toBeGreaterThan(1_000_000);
    expect(metrics.value('walden_wal_archived_files_total', { cluster: 'main' })).toBeGreaterThanOrEqual(1);
    expect(
      metrics.value('walden_jobs_total', { kind: 'backup', cluster: 'main', state: 'done' }),
    ).toBeGreaterThanOrEqual(2);
    const failed = (await eventsOf(walden)).filter(({ kind }) => kind === 'job-failed');
    expect(failed).toEqual([]);
    expect(metrics.value('walden_jobs_total', { kind: 'backup', cluster: 'main', state: 'failed' })).toBe(0);
    // The socket tells the same, without a token: who may use it may do more.
    const own = await ask({ socketPath: join(walden.directory, 'walden.sock') });
    expect(namesIn(own.body)).toEqual(namesIn(scraped.body));
    const log = await walden.log();
    for (const secret of [TOKEN, SECRET]) expect(log).not.toContain(secret);
    await walden.stop();
    receiver.close();
  });

  it('begins anew what a killed service had begun, and not what an operator cancelled', async () => {
    walden = createWalden({
      clusters: { main: server },
      clusterSettings: ['backup_source = "stream"', 'stream_max_rate = 1'],
    });
    // Once: the next time is a year from now.
    const at = new Date(Date.now() + 30_000);
    const cron = [at.getUTCSeconds(), at.getUTCMinutes(), at.getUTCHours(), at.getUTCDate(), at.getUTCMonth() + 1, '*'];
    await appendConfiguration(walden, [
      '[schedule.once]',
      'cluster = "main"',
      'job = "backup"',
      `cron = "${cron.join(' ')}"`,
    ]);
    const running = async (): Promise<JobDocument | undefined> =>
      (await jobsOf(walden)).jobs.find(({ state, progress }) => state === 'running' && (progress?.doneBytes ?? 0) > 0);
    await walden.start();
    await archiveInto(server, walden);
    const first = await until(running, { what: 'the backup', explain: () => walden.log() });
    await walden.kill();
    await walden.start();
    const second = await until(running, { what: 'the backup again', explain: () => walden.log() });
    expect(second.id).not.toBe(first.id);
    const before = await eventsOf(walden);
    expect(before.map(({ kind, level }) => `${kind} ${level}`)).toEqual([
      'service-started info',
      'service-started warning',
      'job-failed error',
    ]);
    await walden.run('job', 'cancel', second.id);
    const { upcoming, jobs } = await until(
      async () => {
        const list = await jobsOf(walden);
        return list.upcoming[0]?.waiting === false && list;
      },
      { what: 'the schedule to be done with it' },
    );
    expect(jobs.map(({ state }) => state)).toEqual(['cancelled', 'failed']);
    expect(Date.parse(upcoming[0]!.at!)).toBeGreaterThan(Date.now() + 300 * 86_400_000);
  });
});
