import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackupRecord } from '../../catalog/catalog.ts';
import { takeBackup } from '../../src/backup/take-backup.ts';
import type { StreamBackupSource } from '../../src/config/config.ts';
import { isWaldenError } from '../../src/errors.ts';
import { readBackupRecord } from '../../src/repository/backup-record.ts';
import { openTestCatalog, openTestRepository, type TestRepository } from '../support/backup-stores.ts';
import { type BackupSetup, MAIN, setUpBackup, streamOf } from '../support/backup-setup.ts';
import { installedTool } from '../support/postgres-binaries.ts';
import { freePort } from '../support/free-port.ts';
import { TcpFaultProxy } from '../support/tcp-fault-proxy.ts';
import { testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';

const SENDERS = "select count(*) from pg_stat_replication where application_name = 'walden_backup'";

async function errorCode(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'no error';
  } catch (error) {
    return isWaldenError(error) ? error.code : String(error);
  }
}

describe.each(testedVersions)('a backup over a network that is not sound, PostgreSQL %i', (version) => {
  let setup: BackupSetup;
  let repository: TestRepository;
  let proxy: TcpFaultProxy;
  let port: number;

  beforeAll(async () => {
    repository = await openTestRepository('local');
    port = await freePort();
    setup = await setUpBackup(
      { version, initdbArguments: ['-k'], tcpPort: port },
      { catalog: openTestCatalog(), repositories: [repository] },
    );
    await setup.server.query('create table near as select g, md5(g::text) as text from generate_series(1, 300000) g');
    await setup.server.query('checkpoint');
    proxy = await TcpFaultProxy.start(port);
  }, 300_000);

  afterAll(async () => {
    await proxy.stop();
    await setup.dispose();
  });

  async function take(
    source: Partial<StreamBackupSource> = {},
    overrides: Parameters<BackupSetup['take']>[0] = {},
  ): Promise<BackupRecord[]> {
    const backup = { ...streamOf({ conninfo: `host=127.0.0.1 port=${proxy.port} user=postgres` }), ...source };
    return await setup.take({ cluster: { name: MAIN, backup, receive: undefined }, ...overrides });
  }

  async function expectNoBackup(): Promise<void> {
    await until(async () => (await setup.server.value(SENDERS)) === '0', { what: 'the end of the sender' });
    const states = (await setup.deps.catalog.backups(MAIN)).map(({ state }) => state);
    expect(states.filter((state) => state !== 'complete' && state !== 'failed')).toEqual([]);
    const keys: string[] = [];
    for await (const { key } of repository.driver.list('main/base/')) keys.push(key);
    expect(keys.filter((key) => !key.endsWith('.json') && !states.includes('complete'))).toEqual([]);
  }

  it.each([1_000_000, 8_000_000, 20_000_000])(
    'is refused when a byte changes behind %i',
    async (afterBytes) => {
      proxy.plan('change', 'down', { afterBytes });
      const struck = proxy.struck;
      expect(['CHECKSUM_MISMATCH', 'FORMAT_INVALID', 'SERVER_QUERY', 'SERVER_UNREACHABLE']).toContain(
        await errorCode(take()),
      );
      expect(proxy.struck).toBe(struck + 1);
      await expectNoBackup();
    },
    60_000,
  );

  it('fails when the connection is cut', async () => {
    proxy.plan('reset', 'down', { afterBytes: 10_000_000 });
    expect(await errorCode(take())).toBe('SERVER_UNREACHABLE');
    await expectNoBackup();
  }, 180_000);

  it('fails when the server says nothing more, without waiting for ever', async () => {
    const struck = proxy.struck;
    proxy.plan('silence', 'down', { afterBytes: 10_000_000 });
    await expect(take({}, { silenceMs: 8_000 })).rejects.toMatchObject({
      code: 'SERVER_UNREACHABLE',
      message: 'PostgreSQL sent nothing of the base backup for 8 s',
    });
    expect(proxy.struck).toBe(struck + 1);
    await expectNoBackup();
  }, 180_000);

  it('is whole when messages come in the smallest pieces', async () => {
    proxy.pieceBytes = 1000;
    const [record] = await take().finally(() => {
      proxy.pieceBytes = Number.POSITIVE_INFINITY;
    });
    expect(record?.state).toBe('complete');
  }, 180_000);

  it('is not compressed where the server cannot, which is said', async () => {
    const before = setup.warnings.length;
    const plain = (await take())[0]!;
    const record = (await take({ compression: 'zstd' }))[0]!;
    // Those of npm are built without zstd, and before 15 none had it.
    const said = setup.warnings.slice(before).filter((warning) => /zstd|compresses/.test(warning));
    expect(said).toHaveLength(1);
    expect(record.facts?.files).toBe(plain.facts?.files);
  }, 180_000);
});

const withZstd = installedTool(15, 'postgres');

describe.skipIf(withZstd === undefined)('a backup that the server compresses', () => {
  let setup: BackupSetup;
  let repository: TestRepository;
  let port: number;

  beforeAll(async () => {
    repository = await openTestRepository('local');
    port = await freePort();
    setup = await setUpBackup(
      { version: 15, initdbArguments: ['-k'], tcpPort: port, programs: dirname(withZstd ?? '') },
      { catalog: openTestCatalog(), repositories: [repository] },
    );
    await setup.server.query('create table near as select g, md5(g::text) as text from generate_series(1, 300000) g');
    await setup.server.query('checkpoint');
  }, 300_000);

  afterAll(async () => {
    await setup.dispose();
  });

  it('is the same as one that it does not', async () => {
    const take = async (compression: 'off' | 'zstd'): Promise<BackupRecord> => {
      const backup = { ...streamOf(setup.server), compression };
      return (await setup.take({ cluster: { name: MAIN, backup, receive: undefined } }))[0]!;
    };
    const [plain, compressed] = [await take('off'), await take('zstd')];
    expect(setup.warnings.filter((warning) => /zstd|compress/.test(warning))).toEqual([]);
    expect(compressed.facts?.files).toBe(plain.facts?.files);
    expect(compressed.facts?.plainBytes).toBeGreaterThan(20_000_000);
  }, 180_000);

  it('begins anew, compressed, when the network is what it waits for', async () => {
    const messages: string[] = [];
    const log = { ...setup.deps.log, info: (_facts: unknown, message: string) => messages.push(message) };
    // Another way to say this host, which looks like a distant one; the rate stands for a slow network.
    const conninfo = `host=::ffff:127.0.0.1 port=${port} user=postgres`;
    const backup = { ...streamOf({ conninfo }), maxRateBytes: 1_000_000 };
    const request = setup.request({ cluster: { name: MAIN, backup, receive: undefined }, packBytes: 200_000 });
    const controls = { signal: new AbortController().signal, onProgress: (): void => undefined };
    const taking = takeBackup({ ...setup.deps, log }, request, controls);
    const [record] = await setup.recording(setup.deps.catalog, taking);
    expect(messages.filter((message) => message.includes('begins anew, compressed'))).toHaveLength(1);
    expect(record?.state).toBe('complete');
    const stored = await readBackupRecord(repository, MAIN, record!.id);
    expect(stored.packs.length).toBeGreaterThan(2);
  }, 180_000);
});
