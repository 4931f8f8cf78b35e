import { randomBytes } from 'node:crypto';
import { readdirSync, renameSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { type Settings, startServer, type TestServer } from '../test/support/postgres-server.ts';
import { until } from '../test/support/until.ts';
import { type Figures, percentile } from './report.ts';
import { type Account, UsageMeter } from './processes.ts';
import { settleDisk } from './tree.ts';

const DRAIN_DEADLINE_MS = 600_000;
const SEGMENT_BYTES = 16 * 1024 * 1024;

/** As a server in production, and with its WAL kept: every contender archives the same segments. */
const SETTINGS: Settings = {
  fsync: 'on',
  wal_level: 'replica',
  archive_mode: 'on',
  archive_command: '',
  shared_buffers: '256MB',
  max_wal_size: '200GB',
  wal_keep_size: '200GB',
  checkpoint_timeout: '1d',
  autovacuum: 'off',
  // Milliseconds, and what the archiver calls when.
  log_line_prefix: '%n [%p] ',
  log_min_messages: 'debug3',
};

export async function emptyServer(): Promise<TestServer> {
  return await startServer({ version: 15, settings: SETTINGS, initdbArguments: ['-k'] });
}

/** A server whose pg_wal holds at least `segments` full segments, half of their bytes compressible and half not. */
export async function serverWithWal(segments: number): Promise<TestServer> {
  const server = await emptyServer();
  await addWal(server, segments);
  return server;
}

/** Writes until `segments` more are full. @returns their names in ascending order */
export async function addWal(server: TestServer, segments: number): Promise<readonly string[]> {
  const client = await server.client();
  try {
    await client.query(
      `create table if not exists noise (bytes bytea); alter table noise alter bytes set storage external;
       create table if not exists rows (id int, branch int, balance int, filler char(84))`,
    );
    const position = async (): Promise<bigint> =>
      BigInt(
        (await client.query<{ at: string }>("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint::text as at"))
          .rows[0]?.at ?? 0,
      );
    const segment = BigInt(SEGMENT_BYTES);
    await client.query('select pg_switch_wal()');
    const first = ((await position()) + segment - 1n) / segment;
    const end = first + BigInt(segments);
    while ((await position()) < end * segment) {
      await client.query('insert into noise select $1 from generate_series(1, 4)', [randomBytes(1024 * 1024)]);
      await client.query("insert into rows select i, i % 10, 0, '' from generate_series(1, 28000) i");
    }
    await client.query('select pg_switch_wal()');
    return Array.from({ length: segments }, (_, index) => segmentName(first + BigInt(index)));
  } finally {
    await client.end();
  }
}

function segmentName(number: bigint): string {
  const hex = (value: bigint): string => value.toString(16).toUpperCase().padStart(8, '0');
  return `${hex(1n)}${hex(number / 256n)}${hex(number % 256n)}`;
}

/** Has PostgreSQL's own archiver hand everything that it kept to `command`. */
export async function drain(
  server: TestServer,
  command: string,
  accountOf: (words: string, pid: number) => Account,
): Promise<Figures> {
  await setArchiveCommand(server, '');
  const status = join(server.dataDirectory, 'pg_wal', 'archive_status');
  for (const name of readdirSync(status)) {
    if (name.endsWith('.done')) renameSync(join(status, name), join(status, name.replace(/done$/, 'ready')));
  }
  const ready = (): number => readdirSync(status).filter((name) => name.endsWith('.ready')).length;
  const segments = ready();
  settleDisk(join(server.dataDirectory, 'pg_wal'));
  const log = join(server.socketDirectory, 'server.log');
  const offset = statSync(log).size;
  const meter = new UsageMeter((words, pid) =>
    words.startsWith('postgres: archiver') ? 'with-children' : accountOf(words, pid),
  );
  await setArchiveCommand(server, command);
  const begin = performance.now();
  await until(() => ready() === 0, {
    what: 'the archiver to have archived everything',
    deadlineMs: DRAIN_DEADLINE_MS,
    everyMs: 20,
    explain: async () => (await server.log()).split('\n').slice(-20).join('\n'),
  });
  const seconds = (performance.now() - begin) / 1000;
  const { cpuSeconds, peakBytes } = meter.stop();
  const calls = await callDurations(log, offset);
  await setArchiveCommand(server, '');
  return {
    'segments/s': segments / seconds,
    'p50 ms': percentile(calls, 50),
    'p99 ms': percentile(calls, 99),
    'CPU ms/segment': (cpuSeconds * 1000) / segments,
    'peak MB': peakBytes / 1024 ** 2,
  };
}

export async function setArchiveCommand(server: TestServer, command: string): Promise<void> {
  await server.query(`alter system set archive_command = '${command.replaceAll("'", "''")}'`);
  await server.query('select pg_reload_conf()');
}

/** From the archiver's own log: when it called, and when it noted the file as archived. Milliseconds. */
async function callDurations(log: string, offset: number): Promise<readonly number[]> {
  const handle = await open(log, 'r');
  try {
    const durations: number[] = [];
    let called = 0;
    const lines = handle.readLines({ start: offset });
    for await (const line of lines) {
      const at = Number(line.split(' ', 1)[0]) * 1000;
      if (line.includes('executing archive command')) called = at;
      else if (line.includes('archived write-ahead log file')) durations.push(at - called);
    }
    return durations;
  } finally {
    await handle.close();
  }
}
