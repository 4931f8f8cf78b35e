import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keyOf, makeCertificate } from '../support/certificate.ts';
import { freePort } from '../support/free-port.ts';
import type { TestServer } from '../support/postgres-server.ts';
import {
  gapsOfArchived,
  receivedNow,
  receiveFrom,
  receiverOf,
  receiverThat,
  startReceiving,
  streaming,
} from '../support/receiving.ts';
import { newDirectory } from '../support/sandbox.ts';
import type { Scene } from '../support/scene.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';

const PASSWORD = 'open sesame';
const WRONG = 'open barley';

describe('receiving over TLS with a password', () => {
  const directory = newDirectory('tls');
  const passwordFile = join(directory, 'pgpass');
  let scene: Scene;
  let port: number;
  /** Of the server, and of others: one that it has nothing to do with, and one of the same host under another name. */
  let certificate: string;
  let stranger: string;
  let otherName: string;

  beforeAll(async () => {
    port = await freePort();
    certificate = makeCertificate(directory, 'server');
    stranger = makeCertificate(directory, 'stranger');
    otherName = makeCertificate(directory, 'other', 'DNS:db1.example,DNS:localhost');
    scene = await startReceiving({
      version: newestVersion,
      settings: { password_encryption: 'scram-sha-256' },
      tcpPort: port,
      walden: { serviceWithin: () => ['/usr/bin/env', `PGPASSFILE=${passwordFile}`] },
    });
    const { server } = scene;
    await server.query(`create role receiver login replication password '${PASSWORD}'`);
    const trusted = ['all', 'replication'].map((what) => `local ${what} postgres trust`);
    // PostgreSQL 13 and 14 tell the position of a slot by SQL only.
    const databases = newestVersion < 15 ? ['replication', 'postgres'] : ['replication'];
    const rules = [...trusted, ...databases.map((what) => `hostssl ${what} receiver 127.0.0.1/32 scram-sha-256`), ''];
    writeFileSync(join(server.dataDirectory, 'pg_hba.conf'), rules.join('\n'));
    await present(server, certificate);
  });
  beforeEach(async () => {
    await scene.walden.stop();
  });
  afterAll(() => scene.dispose());

  async function startWith(words: string): Promise<void> {
    receiveFrom(scene.walden, `host=127.0.0.1 port=${port} user=receiver ${words}`);
    await scene.walden.start();
  }

  /** What the status says of it. No secret may stand in there, nor in the log. */
  async function refusalOf(words: string): Promise<string> {
    const { walden } = scene;
    await startWith(words);
    const { state, failure } = await receiverThat(walden, 'a refusal', (receiver) => receiver.failure !== null);
    expect(['waiting', 'connecting']).toContain(state);
    expect(failure?.error.code).toBe('SERVER_UNREACHABLE');
    await expectNoSecrets();
    const text = await walden.run('status', 'main');
    expect(text).toContain(failure!.error.message);
    return failure!.error.message;
  }

  async function expectNoSecrets(): Promise<void> {
    const { walden } = scene;
    const said = [await walden.log(), JSON.stringify(await receiverOf(walden)), await walden.run('status', 'main')];
    for (const secret of [PASSWORD, WRONG]) for (const text of said) expect(text).not.toContain(secret);
  }

  async function expectStreaming(): Promise<void> {
    const { server, walden } = scene;
    expect((await streaming(walden)).host).toBe('127.0.0.1');
    const encrypted = `select ssl from pg_stat_ssl join pg_stat_replication using (pid) where usename = 'receiver'`;
    expect(await server.value(encrypted)).toBe('true');
    await receivedNow(server, walden);
    expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [] });
    await expectNoSecrets();
  }

  it('streams with a certificate that is trusted', async () => {
    await startWith(`password='${PASSWORD}' sslmode=verify-full sslrootcert=${certificate}`);
    await expectStreaming();
  });

  it('takes the password from the password file of its user', async () => {
    writeFileSync(passwordFile, `127.0.0.1:${port}:*:receiver:${PASSWORD}\n`, { mode: 0o600 });
    await startWith(`sslmode=verify-full sslrootcert=${certificate}`);
    await expectStreaming();
  });

  it('says that a password is wrong, and goes on by itself once it is right', async () => {
    const words = `password='${WRONG}' sslmode=verify-full sslrootcert=${certificate}`;
    expect(await refusalOf(words)).toContain('password authentication failed for user "receiver"');
    const { server } = scene;
    await server.query(`alter role receiver password '${WRONG}'`);
    await expectStreaming();
    await server.query(`alter role receiver password '${PASSWORD}'`);
  });

  it('sends nothing to a server whose certificate it does not trust', async () => {
    const words = `password='${PASSWORD}' sslmode=verify-full sslrootcert=${stranger}`;
    expect(await refusalOf(words)).toMatch(/self[- ]signed certificate/);
  });

  it('says that a server wants TLS', async () => {
    expect(await refusalOf(`password='${PASSWORD}'`)).toContain('no pg_hba.conf entry');
  });

  it('refuses a certificate of another host with verify-full, and takes it with verify-ca', async () => {
    const { server, walden } = scene;
    await present(server, otherName);
    const words = `password='${PASSWORD}' sslrootcert=${otherName}`;
    expect(await refusalOf(`${words} sslmode=verify-full`)).toContain('127.0.0.1');
    await walden.stop();
    await startWith(`${words} sslmode=verify-ca`);
    await expectStreaming();
  });
});

/** From the next connection on. */
async function present(server: TestServer, certificate: string): Promise<void> {
  const [own, key] = ['server.crt', 'server.key'].map((name) => join(server.dataDirectory, name));
  copyFileSync(certificate, own!);
  copyFileSync(keyOf(certificate), key!);
  chmodSync(key!, 0o600);
  await server.query('alter system set ssl = on');
  const loaded = async (): Promise<string> => await server.value('select pg_conf_load_time()::text');
  const before = await loaded();
  await server.query('select pg_reload_conf()');
  await until(async () => (await loaded()) !== before, { what: 'the server to read its certificate' });
  expect(await server.value('show ssl')).toBe('on');
}
