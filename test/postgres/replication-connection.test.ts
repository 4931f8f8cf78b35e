import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { isWaldenError, WaldenError } from '../../src/errors.ts';
import { parseConninfo } from '../../src/postgres/conninfo.ts';
import { formatLsn, type Lsn, lsn, parseLsn, type TimelineId } from '../../src/postgres/lsn.ts';
import { ReplicationConnection, sqlstateOf } from '../../src/postgres/replication/connection.ts';
import type { StreamEvent } from '../../src/postgres/replication/wal-stream.ts';
import { micros } from '../../src/postgres/timestamp.ts';
import { switchSegment } from '../support/archiving.ts';
import { freePort } from '../support/free-port.ts';
import { prepareLoad, startLoad } from '../support/load.ts';
import { appendSettings, startServer, type TestServer } from '../support/postgres-server.ts';
import { newDirectory } from '../support/sandbox.ts';
import { TcpFaultProxy } from '../support/tcp-fault-proxy.ts';
import { testedVersions } from '../support/tested-versions.ts';

const SEGMENT_BYTES = 1024 * 1024;
const FIRST = 1 as TimelineId;

describe.each(testedVersions)('a replication connection, PostgreSQL %i', (version) => {
  let server: TestServer;
  let tcpPort: number;
  let proxy: TcpFaultProxy;
  const opened: ReplicationConnection[] = [];
  let slots = 0;

  beforeAll(async () => {
    tcpPort = await freePort();
    const settings = {
      wal_keep_size: '200MB',
      wal_level: 'logical',
      max_replication_slots: 20,
      password_encryption: 'scram-sha-256',
    };
    server = await startServer({ version, initdbArguments: ['--wal-segsize=1'], settings, tcpPort });
    await prepareLoad(server);
    proxy = await TcpFaultProxy.start(join(server.socketDirectory, `.s.PGSQL.${tcpPort}`));
  });
  afterEach(async () => {
    for (const connection of opened.splice(0)) await connection.close();
  });
  afterAll(async () => {
    await proxy.stop();
    await server.dispose();
  });

  async function connect(conninfo = server.conninfo): Promise<ReplicationConnection> {
    const connection = await ReplicationConnection.open(parseConninfo(conninfo));
    opened.push(connection);
    return connection;
  }

  /** Something that is to be sent. */
  async function write(): Promise<void> {
    await server.query(`select pg_logical_emit_message(true, 'test', 'something to send')`);
  }

  async function segmentStartNow(): Promise<Lsn> {
    await write();
    const now = parseLsn(await server.value('select pg_current_wal_flush_lsn()'));
    return lsn(now - (now % BigInt(SEGMENT_BYTES)));
  }

  async function nameAt(start: Lsn): Promise<string> {
    return await server.value('select pg_walfile_name($1)', [formatLsn(lsn(start + 1n))]);
  }

  /** The bytes of a stream from its start on, as many as a segment has. */
  async function firstSegment(connection: ReplicationConnection, start: Lsn): Promise<Buffer> {
    slots += 1;
    const slot = `reading_${slots}`;
    await connection.createSlot(slot);
    const stream = connection.startStreaming({ slot, timeline: FIRST, start });
    const pieces: Buffer[] = [];
    for (let bytes = 0; bytes < SEGMENT_BYTES;) {
      const event = await stream.next(60_000);
      if (event.kind !== 'wal') continue;
      expect(event.start).toBe(start + BigInt(bytes));
      pieces.push(event.bytes);
      bytes += event.bytes.length;
    }
    return Buffer.concat(pieces).subarray(0, SEGMENT_BYTES);
  }

  it('says who the server is and what its settings are', async () => {
    const connection = await connect();
    const system = await connection.identifySystem();
    expect(system.systemIdentifier).toBe(await server.value('select system_identifier from pg_control_system()'));
    expect(system.timeline).toBe(1);
    expect(system.flushed).toBeGreaterThan(0n);
    expect(await connection.show('wal_segment_size')).toBe('1MB');
  });

  it('makes, reads and drops a slot', async () => {
    const connection = await connect();
    expect(await connection.readSlot('walden_main')).toBeUndefined();
    expect(await connection.createSlot('walden_main')).toBe('created');
    expect(await connection.createSlot('walden_main')).toBe('exists');
    const restart = await server.value(`select restart_lsn from pg_replication_slots where slot_name = 'walden_main'`);
    expect(await connection.readSlot('walden_main')).toEqual({ restart: parseLsn(restart) });
    await server.query(`select pg_create_physical_replication_slot('keeps_nothing')`);
    expect(await connection.readSlot('keeps_nothing')).toEqual({ restart: undefined });
    await connection.dropSlot('keeps_nothing');
    await connection.dropSlot('walden_main');
    await connection.dropSlot('walden_main');
    expect(await server.value('select count(*) from pg_replication_slots')).toBe('0');
  });

  it('refuses a logical slot, which is not its own', async () => {
    const connection = await connect();
    await server.query(`select pg_create_logical_replication_slot('decoding', 'pgoutput')`);
    const refused: unknown = await connection.readSlot('decoding').catch((error: unknown) => error);
    expect(isWaldenError(refused, 'SERVER_QUERY')).toBe(true);
    expect(String(refused)).toContain('logical');
    await connection.dropSlot('decoding');
  });

  it('a refused command tells the SQLSTATE, and the next one is answered', async () => {
    const connection = await connect();
    const refused = await connection.timelineHistory(7 as TimelineId).catch((error: unknown) => error);
    expect(isWaldenError(refused, 'SERVER_QUERY')).toBe(true);
    expect(sqlstateOf(refused)).toBe('58P01');
    expect(await connection.show('server_version_num')).toMatch(new RegExp(`^${version}`));
  });

  it('streams the bytes that stand in pg_wal, in whatever pieces the network brings them', async () => {
    const start = await segmentStartNow();
    const name = await nameAt(start);
    const load = await startLoad(server);
    await load.advance(100);
    await load.stop();
    await switchSegment(server);
    const stored = readFileSync(join(server.dataDirectory, 'pg_wal', name));
    const connection = await connect();
    expect((await firstSegment(connection, start)).equals(stored)).toBe(true);
    await connection.close();
    proxy.pieceBytes = 11;
    const cut = await firstSegment(await connect(`host=127.0.0.1 port=${proxy.port} user=postgres`), start);
    proxy.pieceBytes = Number.POSITIVE_INFINITY;
    expect(cut.equals(stored)).toBe(true);
  });

  it('a position that the server has not reached is refused with words', async () => {
    const connection = await connect();
    await connection.createSlot('ahead');
    const stream = connection.startStreaming({ slot: 'ahead', timeline: FIRST, start: lsn(0x7f_0000_0000n) });
    await expect(nextOf(stream, 'wal')).rejects.toMatchObject({ code: 'SERVER_QUERY' });
  });

  it('pg_stat_replication shows what was reported, and a status that asks is answered', async () => {
    const connection = await connect();
    await connection.createSlot('reporting');
    const start = await segmentStartNow();
    const stream = connection.startStreaming({ slot: 'reporting', timeline: FIRST, start });
    await nextOf(stream, 'wal');
    stream.sendStatus({ written: lsn(start + 2n), flushed: lsn(start + 1n) }, micros(Date.now() * 1000), true);
    const answer = await nextOf(stream, 'keepalive');
    expect(answer).toMatchObject({ replyRequested: false });
    const [row] = await server.query(
      `select write_lsn, flush_lsn, replay_lsn from pg_stat_replication where pid in
       (select active_pid from pg_replication_slots where slot_name = 'reporting')`,
    );
    expect(parseLsn(String(row?.['write_lsn']))).toBe(start + 2n);
    expect(parseLsn(String(row?.['flush_lsn']))).toBe(start + 1n);
    expect(row?.['replay_lsn']).toBeNull();
  });

  it('a terminated backend and a cut network are told as a lost connection, silence as silence', async () => {
    const words = `host=127.0.0.1 port=${proxy.port} user=postgres`;
    for (const harm of ['terminate', 'reset', 'silence'] as const) {
      const connection = await connect(words);
      await connection.createSlot(`harmed_${harm}`);
      const start = { slot: `harmed_${harm}`, timeline: FIRST, start: await segmentStartNow() };
      const stream = connection.startStreaming(start);
      await nextOf(stream, 'wal');
      if (harm === 'terminate') {
        await server.query(
          `select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = 'harmed_terminate'`,
        );
      } else {
        proxy.plan(harm, 'down', { afterBytes: 0 });
        await write();
      }
      if (harm === 'silence') {
        await expect(untilSilence(stream)).resolves.toBe('silence');
        connection.fail(new WaldenError('SERVER_UNREACHABLE', 'it says nothing'));
      }
      await expect(nextOf(stream, 'end')).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
      proxy.clear();
    }
  });

  it('comes with TLS and a password, which never stands in an error', async () => {
    const directory = newDirectory('tls');
    const [cert, key] = [join(directory, 'server.crt'), join(directory, 'server.key')];
    const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost'];
    execFileSync('openssl', [...request, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    chmodSync(key, 0o600);
    await server.query(`create role receiver login replication password 'secret words'`);
    await appendSettings(server.dataDirectory, { ssl: 'on', ssl_cert_file: cert, ssl_key_file: key });
    const hba = join(server.dataDirectory, 'pg_hba.conf');
    writeFileSync(hba, `hostssl replication receiver 127.0.0.1/32 scram-sha-256\n${readFileSync(hba, 'utf8')}`);
    await server.query('select pg_reload_conf()');
    const words = `host=127.0.0.1 port=${tcpPort} user=receiver sslmode=verify-ca sslrootcert=${cert}`;
    const start = await segmentStartNow();
    await switchSegment(server);
    const connection = await connect(`${words} password='secret words'`);
    const [row] = await server.query(
      `select ssl from pg_stat_ssl join pg_stat_replication using (pid) where usename = 'receiver'`,
    );
    expect(row).toEqual({ ssl: true });
    const stored = readFileSync(join(server.dataDirectory, 'pg_wal', await nameAt(start)));
    expect((await firstSegment(connection, start)).equals(stored)).toBe(true);
    const refused = await connect(`${words} password='wrong words'`).catch((error: unknown) => error);
    expect(isWaldenError(refused, 'SERVER_UNREACHABLE')).toBe(true);
    expect(JSON.stringify(refused) + String(refused)).not.toContain('wrong words');
  });
});

interface Events {
  next(timeoutMs: number): Promise<StreamEvent>;
}

async function nextOf(stream: Events, kind: StreamEvent['kind']): Promise<StreamEvent> {
  for (;;) {
    const event = await stream.next(60_000);
    if (event.kind === kind) return event;
    if (event.kind === 'silence') throw new Error(`waited in vain for ${kind}`);
  }
}

/** Reads what is on its way until nothing comes any more. */
async function untilSilence(stream: Events): Promise<string> {
  for (;;) {
    const { kind } = await stream.next(1_000);
    if (kind === 'silence') return kind;
  }
}
