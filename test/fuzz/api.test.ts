import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SqliteCatalog } from '../../catalog/sqlite/sqlite-catalog.ts';
import { startWalden } from '../../src/compose.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { ERRORS } from '../../src/errors.ts';
import type { JobDocument } from '../../src/service/api.ts';
import type { RunningService } from '../../src/service/service.ts';
import { LocalDriver } from '../../storage-drivers/local/local-driver.ts';
import { writeConfig } from '../cli/config-file.ts';
import { FUZZ_TIMEOUT_MS, fuzz } from '../support/fuzz.ts';
import { GeneratedRepository } from '../support/generated-repository.ts';
import { type Json, mutatedJson, mutatedText, textLike } from '../support/mutations.ts';
import { newDirectory, removeDirectory } from '../support/sandbox.ts';
import { until } from '../support/until.ts';

const SEGMENT = '000000010000000000000002';
const PATHS = [
  ...['/v1/ping', '/v1/status', '/v1/status?cluster=main', '/v1/jobs', '/v1/openapi.json'],
  ...['', '/gaps'].map((end) => `/v1/clusters/main/wal${end}`),
  ...['', '/latest', '/20261122T021500F', '/latest/files'].map((end) => `/v1/clusters/main/backups${end}`),
  '/v1/clusters/main/script-config',
  '/v1/jobs/0b6c7c6e-0000-4000-8000-000000000000',
];

interface Answer {
  readonly status: number;
  readonly body: string;
}

let directory: string;
let socket: string;
let service: RunningService;

beforeAll(async () => {
  directory = newDirectory('api');
  const place = writeConfig(directory);
  socket = place.socket;
  mkdirSync(join(directory, 'repository'));
  await fillRepository(join(directory, 'repository'));
  writeFileSync(join(directory, 'empty'), '');
  service = await startWalden(await loadConfig({ path: place.config, checkPaths: false }), pino({ level: 'silent' }));
  await ask('POST', '/v1/catalog/rebuild').then(jobEnd);
});
afterAll(async () => {
  await service.stop();
  removeDirectory(directory);
});

/** Segments, two timelines and a backup that has no sound pack. */
async function fillRepository(root: string): Promise<void> {
  const driver = await LocalDriver.open({ root, instance: 'test', access: 'read-write' });
  const catalog = SqliteCatalog.open(':memory:');
  const made = new GeneratedRepository({ name: 'local' as never, driver }, catalog);
  await made.begin();
  await made.addSegments(1, [1, 2, 3]);
  await made.addWal('00000002.history');
  await made.addBackup('20261122T021500F' as never);
  await catalog.close();
  await driver.close();
}

async function ask(
  method: string,
  path: string,
  { body, headers = {} }: { readonly body?: string | Buffer; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const outgoing = request({ socketPath: socket, method, path, headers, agent: false }, (response) => {
      text(response).then((answer) => {
        resolve({ status: response.statusCode ?? 0, body: answer });
      }, reject);
    });
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}

function post(path: string, document: Json): Promise<Answer> {
  return ask('POST', path, { body: JSON.stringify(document), headers: { 'content-type': 'application/json' } });
}

/** Every answer is a document of the API; one that says no is an error of the table. */
function expectDocument({ status, body }: Answer): void {
  if (status < 400) return;
  const { code, message, hint } = JSON.parse(body) as Record<string, unknown>;
  expect({ status, code, message, hint }).toEqual({
    status: expect.any(Number) as number,
    code: expect.stringMatching(
      Object.keys(ERRORS)
        .filter((key) => key !== 'INTERNAL')
        .join('|'),
    ) as string,
    message: expect.any(String) as string,
    hint: expect.any(String) as string,
  });
}

/** Waits for the job that an answer names, and looks at how it ended. */
async function jobEnd(answer: Answer): Promise<void> {
  if (answer.status !== 202) return;
  const { job } = JSON.parse(answer.body) as { readonly job: JobDocument };
  const ended = await until(
    async () => {
      const found = JSON.parse((await ask('GET', `/v1/jobs/${job.id}`)).body) as JobDocument;
      return found.state !== 'running' && found;
    },
    { what: 'the end of a job', everyMs: 10 },
  );
  expect(ended.error?.code, ended.error?.message).not.toBe('INTERNAL');
}

/** What a client may put into a request line; percent signs stay as they come. */
function asPath(words: string): string {
  const bytes = [...Buffer.from(words.slice(0, 4000))];
  return bytes
    .map((byte) => (byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, '0')}`))
    .join('');
}

/** One part of a path; a lone surrogate, of which no request consists, becomes the replacement character. */
function inPath(words: string): string {
  return encodeURIComponent(Buffer.from(words.slice(0, 500)).toString());
}

describe('a request', () => {
  it('is answered by a document, whatever its path is', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const method = fc.constantFrom('GET', 'GET', 'GET', 'HEAD', 'DELETE', 'PATCH', 'OPTIONS');
    const path = fc.constantFrom(...PATHS).chain((one) => mutatedText(one));
    await fuzz(fc.tuple(method, path), 700, async ([word, words]) => {
      const answer = await ask(word, `/${asPath(words).replace(/^\/+/, '')}`);
      if (word !== 'HEAD') expectDocument(answer);
    });
  });

  it(
    'for WAL is answered by a document, whatever the name and the body are',
    { timeout: FUZZ_TIMEOUT_MS },
    async () => {
      const types = ['application/octet-stream', 'application/json', 'text/plain', 'text/html', 'x', ''];
      const input = fc.record({
        route: fc.constantFrom('push', 'fetch', 'put'),
        cluster: fc.oneof({ weight: 5, arbitrary: fc.constant('main') }, textLike('main')),
        name: fc.oneof(fc.constantFrom(SEGMENT, '00000003.history'), textLike(SEGMENT, '00000002.history')),
        type: fc.constantFrom(...types),
        body: fc.oneof(fc.constantFrom('', 'null', '"abc"', '[1]', '{}', '{"__proto__": 1}', '{'), fc.string()),
      });
      await fuzz(input, 500, async ({ route, cluster, name, type, body }) => {
        const base = `/v1/clusters/${inPath(cluster)}/wal/${inPath(name)}`;
        const headers = type === '' ? undefined : { 'content-type': type };
        const call = { body, ...(headers === undefined ? {} : { headers }) };
        expectDocument(await (route === 'put' ? ask('PUT', base, call) : ask('POST', `${base}/${route}`, call)));
      });
    },
  );

  it('for a plan is answered by a plan or a reason', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    await fuzz(restoreRequest(), 700, async (document) => {
      expectDocument(await post('/v1/clusters/main/plan', document));
    });
  });

  it('for a job is answered by a job that ends for a reason', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const backup: Json = { workers: 2, compressionLevel: 3, label: 'nightly' };
    // Paths that nothing is ever written to: what would be written is another test's.
    const places = ['', 'relative', '\0', join(directory, 'empty'), join(directory, 'a\0b'), `/${'a'.repeat(5000)}`];
    const restore = fc.tuple(restoreRequest(), fc.constantFrom(...places)).map(([document, to]) => {
      const members = typeof document === 'object' && document !== null && !Array.isArray(document) ? document : {};
      return ['restores', { ...(members as Record<string, Json>), to }] as const;
    });
    const input = fc.oneof(
      mutatedJson(backup).map((document) => ['backups', document] as const),
      restore,
    );
    await fuzz(input, 120, async ([route, document]) => {
      const answer = await post(`/v1/clusters/main/${route}`, document);
      expectDocument(answer);
      await jobEnd(answer);
    });
  });

  it('that is not HTTP harms nobody', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const valid = `PUT /v1/clusters/main/wal/${SEGMENT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/octet-stream\r\ncontent-length: 5\r\n\r\nbytes`;
    await fuzz(textLike(valid), 150, async (bytes) => {
      await new Promise<void>((resolve) => {
        const connection = createConnection({ path: socket }, () => connection.end(bytes));
        connection.on('error', () => undefined);
        connection.on('close', () => {
          resolve();
        });
        connection.resume();
      });
      expect((await ask('GET', '/v1/ping')).status).toBe(200);
    });
  });
});

function restoreRequest(): fc.Arbitrary<Json> {
  const valid = { target: { kind: 'time', value: '2026-11-22 14:30:00+01', timeline: 1 }, to: '/nowhere/data' };
  const kinds = ['latest', 'immediate', 'time', 'lsn', 'xid', 'name'];
  const values = ['2026-11-22 14:30:00+01', '10 minutes ago', 'yesterday 14:30', '0/3000000', '700', 'before'];
  const well = fc
    .tuple(fc.constantFrom(...kinds), textLike(...values), fc.boolean())
    .map(([kind, value, exclusive]): Json => {
      const none = kind === 'latest' || kind === 'immediate';
      return { target: { kind, ...(none ? {} : { value: value.slice(0, 200), exclusive }) }, to: '/nowhere/data' };
    });
  const map = {
    tablespaceMap: { '/mnt/fast': '/mnt/slow' },
    action: 'pause',
    standby: false,
    takeOver: true,
    workers: 2,
  };
  return fc.oneof(well, mutatedJson({ ...valid, ...map }), mutatedJson(valid));
}
