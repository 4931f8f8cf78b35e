import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBackupMode, stopBackupMode } from '../../src/backup/backup-mode.ts';
import { parseBackupLabel } from '../../src/postgres/backup-label.ts';
import { readControlFile } from '../../src/postgres/control-file.ts';
import { findBadPages } from '../../src/postgres/data-page.ts';
import { formatLsn } from '../../src/postgres/lsn.ts';
import { openSession } from '../../src/postgres/session.ts';
import { startServer, type TestServer } from '../support/postgres-server.ts';
import { newestVersion, testedVersions } from '../support/tested-versions.ts';

describe.each(testedVersions)('what a server says and what is read of its files, PostgreSQL %i', (version) => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startServer({
      version,
      initdbArguments: ['-k', '--wal-segsize=4'],
      settings: { autovacuum: 'off' },
    });
  });

  afterAll(async () => {
    await server.dispose();
  });

  it('agree about the control file', async () => {
    await server.query('checkpoint');
    const control = await readControlFile(server.dataDirectory);
    const [row] = await server.query(
      'select system_identifier::text, checkpoint_lsn::text, timeline_id from pg_control_system(), pg_control_checkpoint()',
    );
    expect(control).toEqual({
      systemIdentifier: row!['system_identifier'],
      majorVersion: version,
      segmentBytes: 4 << 20,
      blockBytes: 8192,
      dataChecksums: true,
      state: 'in production',
      checkpoint: control.checkpoint,
      timeline: row!['timeline_id'],
    });
    expect(formatLsn(control.checkpoint)).toBe(row!['checkpoint_lsn']);
    await expect(readControlFile('/nonexistent')).rejects.toMatchObject({ code: 'LOCAL_IO' });
  });

  it('agree about the checksum of every page, and find each damaged one', async () => {
    await server.query("create table pages as select n, repeat('x', 300) from generate_series(1, 9000) n");
    await server.query('create index on pages (n)');
    await server.query('vacuum pages');
    await server.query('checkpoint');
    for (const relation of ['pages', 'pages_n_idx']) {
      const path = join(server.dataDirectory, await server.value('select pg_relation_filepath($1)', [relation]));
      const bytes = readFileSync(path);
      const pages = bytes.length / 8192;
      expect(findBadPages(bytes, 0)).toEqual([]);
      // The number of the block is part of the checksum: pages at another place are wrong, unless by chance, or because
      // they are new and have none; from 16 on a table grows by several pages at a time.
      const each = Array.from({ length: pages }, (_, block) => bytes.subarray(block * 8192, (block + 1) * 8192));
      const written = each.filter((page) => page.some((byte) => byte !== 0)).length;
      expect(written).toBeGreaterThan(20);
      expect(findBadPages(bytes, 131072).length).toBeGreaterThan(written - 3);
      bytes.writeUInt8(bytes.readUInt8(3 * 8192 + 5000) ^ 1, 3 * 8192 + 5000);
      bytes.fill(0, 5 * 8192, 6 * 8192);
      bytes.writeUInt8(bytes.readUInt8(7 * 8192) ^ 0x80, 7 * 8192);
      const before = Buffer.from(bytes);
      expect(findBadPages(bytes, 0)).toEqual([3, 7]);
      expect(findBadPages(bytes.subarray(2 * 8192), 2)).toEqual([3, 7]);
      expect(bytes.equals(before)).toBe(true);
      const shifted = Buffer.concat([Buffer.alloc(1), bytes]).subarray(1);
      expect(findBadPages(shifted, 0)).toEqual([3, 7]);
    }
  });

  it('agree about the backup label', async () => {
    const session = await openSession(server.conninfo);
    const serverVersion = Number(await server.value('show server_version_num'));
    const startLsn = await startBackupMode(session, serverVersion, 'a label');
    const { backupLabel } = await stopBackupMode(session, serverVersion);
    expect(parseBackupLabel(backupLabel)).toMatchObject({ startLsn, timeline: 1 });
    await session.close();
  });
});

describe('openSession', () => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startServer({ version: newestVersion });
  });

  afterAll(async () => {
    await server.dispose();
  });

  it('keeps 64-bit integers exact and says who it is', async () => {
    const session = await openSession(server.conninfo, { applicationName: 'walden test' });
    const rows = await session.query(
      "select 9007199254740993::int8 as big, $1::text as given, current_setting('application_name') as name",
      ['x'],
    );
    expect(rows).toEqual([{ big: '9007199254740993', given: 'x', name: 'walden test' }]);
    await session.close();
    await session.close();
  });

  it('tells a refused query from a lost connection', async () => {
    const session = await openSession(`postgresql:///postgres?host=${server.socketDirectory}&user=postgres`);
    await expect(session.query('select nonsense')).rejects.toMatchObject({
      code: 'SERVER_QUERY',
      details: { sqlstate: '42703' },
    });
    const [row] = await session.query('select pg_backend_pid() as pid');
    await server.query('select pg_terminate_backend($1)', [row!['pid']]);
    await expect(session.query('select 1')).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
    await session.close();
  });

  it('gives a query up at its deadline, and the connection with it', async () => {
    const session = await openSession(server.conninfo, { timeoutMs: 300 });
    await expect(session.query('select pg_sleep(60)')).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
    await expect(session.query('select 1')).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
    await session.close();
  });

  it('does not repeat the password where it cannot connect', async () => {
    const attempt = openSession('host=/nonexistent user=postgres password=sesame');
    await expect(attempt).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
    await attempt.catch((error: unknown) => {
      expect(String(error)).not.toContain('sesame');
    });
  });
});
