import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isWaldenError } from '../../src/errors.ts';
import { formatLsn, type Lsn, parseLsn } from '../../src/postgres/lsn.ts';
import { SegmentWalker } from '../../src/postgres/segment-walker.ts';
import { parseMicros } from '../../src/postgres/timestamp.ts';
import type { TransactionEnd } from '../../src/postgres/wal-index-builder.ts';
import { parseWalName, segmentNumberOfName, segmentStart } from '../../src/postgres/wal-name.ts';
import { readSegmentHeader } from '../../src/postgres/wal-page.ts';
import type { PostgresVersion } from '../support/postgres-binaries.ts';
import { type Settings, startServer, type TestServer } from '../support/postgres-server.ts';
import { testedVersions } from '../support/tested-versions.ts';

/** A record as PostgreSQL itself reads it. */
interface Inspected {
  readonly start: Lsn;
  readonly end: Lsn;
  readonly bytes: number;
  readonly type: string;
  readonly xid: number;
  readonly description: string;
}

const TRANSACTION_ENDS = ['COMMIT', 'ABORT', 'COMMIT_PREPARED', 'ABORT_PREPARED'];

/** Fills several segments with all that the index is about. */
async function work(server: TestServer): Promise<void> {
  const client = await server.client();
  const run = async (...statements: readonly string[]): Promise<void> => {
    for (const statement of statements) await client.query(statement);
  };
  await run('create table t (i int primary key, x text)', 'create table other (i int)');
  await run("insert into t select n, repeat('x', 90) from generate_series(1, 12000) n");
  for (let n = 20_000; n < 20_400; n += 1) await client.query('insert into t values ($1)', [n]);
  await run('begin', 'insert into t values (-1)', 'rollback');
  await run('begin', 'insert into t values (-2)', 'savepoint a', 'insert into t values (-3)', 'rollback to a');
  await run('savepoint b', 'insert into t values (-4)', 'commit', "select pg_create_restore_point('first point')");
  await run('begin', 'insert into t values (-5)', 'savepoint c', 'insert into t values (-6)', 'truncate other');
  await run("prepare transaction 'kept'", 'begin', 'insert into t values (-7)', "prepare transaction 'dropped'");
  await run("commit prepared 'kept'", "rollback prepared 'dropped'", 'insert into other values (1)');
  await run('vacuum full t', 'create index on t (x)', 'drop table other', 'checkpoint', 'select pg_switch_wal()');
  await run("select pg_logical_emit_message(false, 'long', repeat('y', 3500000))", 'insert into t values (-8)');
  await run("select pg_create_restore_point('second, with ümlauts')", "select pg_logical_emit_message(true, 'm', 'z')");
  await run('select pg_switch_wal()');
  await client.end();
}

async function inspect(server: TestServer, from: Lsn, to: Lsn): Promise<readonly Inspected[]> {
  const rows = await server.query('select * from pg_get_wal_records_info($1, $2)', [formatLsn(from), formatLsn(to)]);
  return rows.map((row) => ({
    start: parseLsn(String(row['start_lsn'])),
    end: parseLsn(String(row['end_lsn'])),
    bytes: Number(row['record_length']),
    type: String(row['record_type']),
    xid: Number(row['xid']),
    description: String(row['description']),
  }));
}

function transactionEnd({ type, xid, end, description }: Inspected): TransactionEnd {
  const [, prepared, time] = /^(?:(\d+): )?(\d{4}-\d\d-\d\d [\d:.]+\+00)/.exec(description) ?? [];
  return {
    xid: prepared === undefined ? xid : Number(prepared),
    committed: type.startsWith('COMMIT'),
    time: parseMicros(time ?? description),
    end,
  };
}

interface AtWork {
  readonly server: TestServer;
  /** What `work` wrote. */
  readonly from: Lsn;
  readonly to: Lsn;
  /** The segments that it filled. */
  readonly names: readonly string[];
}

async function startAtWork(version: PostgresVersion, settings: Settings = {}): Promise<AtWork> {
  const needed = { max_prepared_transactions: 5, wal_keep_size: '512MB', autovacuum: 'off', statement_timeout: '30s' };
  const server = await startServer({
    version,
    initdbArguments: ['--wal-segsize=1', '-k'],
    settings: { ...needed, ...settings },
  });
  await server.query('select pg_switch_wal()');
  const from = parseLsn(await server.value('select pg_current_wal_insert_lsn()'));
  await work(server);
  const to = parseLsn(await server.value('select pg_current_wal_flush_lsn()'));
  const bytes = 1n << 20n;
  const rows = await server.query(
    'select name from pg_ls_waldir() where name >= pg_walfile_name($1) and name < pg_walfile_name($2) order by name',
    // The name of a position at the very end of a segment is that of the segment before.
    [formatLsn((from + 1n) as Lsn), formatLsn(((to / bytes) * bytes + 1n) as Lsn)],
  );
  return { server, from, to, names: rows.map((row) => String(row['name'])) };
}

function walk(server: TestServer, name: string, change?: (bytes: Buffer) => void) {
  const bytes = readFileSync(join(server.dataDirectory, 'pg_wal', name));
  const header = readSegmentHeader(bytes);
  const { timeline, segment } = parseWalName(name);
  const number = segmentNumberOfName(segment!, header.segmentBytes);
  const transactions: TransactionEnd[] = [];
  change?.(bytes);
  const walker = new SegmentWalker({
    ...header,
    timeline,
    segment: number,
    kind: 'segment',
    onTransaction: (one) => transactions.push(one),
  });
  for (let at = 0; at < bytes.length; at += 200_000) walker.feed(bytes.subarray(at, at + 200_000));
  const index = walker.finish();
  const start = segmentStart(number, header.segmentBytes);
  return { index, transactions, lastRecord: walker.lastRecord, start, end: start + BigInt(header.segmentBytes) };
}

// pg_walinspect came with 15.
const inspectable = testedVersions.filter((version) => version >= 15);

describe.each(inspectable)('SegmentWalker and pg_walinspect, PostgreSQL %i', (version) => {
  let server: TestServer;
  let records: readonly Inspected[];
  let names: readonly string[];

  beforeAll(async () => {
    const atWork = await startAtWork(version);
    ({ server, names } = atWork);
    await server.query('create extension pg_walinspect');
    records = await inspect(server, atWork.from, atWork.to);
  });

  afterAll(async () => {
    await server.dispose();
  });

  const within = ({ start, end }: { readonly start: Lsn; readonly end: bigint }): readonly Inspected[] =>
    records.filter((record) => record.start >= start && record.end <= end);

  it('agree on every transaction, restore point and the last record of each segment', () => {
    expect(names.length).toBeGreaterThan(6);
    const found = { transactions: 0, points: 0 };
    for (const name of names) {
      const walked = walk(server, name);
      const { index, transactions, lastRecord } = walked;
      const whole = within(walked);
      const ends = whole.filter(({ type }) => TRANSACTION_ENDS.includes(type)).map(transactionEnd);
      expect(transactions).toEqual(ends);
      const commits = ends.filter(({ committed }) => committed).map(({ time }) => time);
      expect(index.commits).toBe(commits.length);
      expect(index.firstCommit).toBe(commits.length === 0 ? undefined : Math.min(...commits));
      expect(index.lastCommit).toBe(commits.length === 0 ? undefined : Math.max(...commits));
      expect(index.firstXid).toBe(ends.length === 0 ? undefined : Math.min(...ends.map(({ xid }) => xid)));
      expect(index.lastXid).toBe(ends.length === 0 ? undefined : Math.max(...ends.map(({ xid }) => xid)));
      const points = whole.filter(({ type }) => type === 'RESTORE_POINT');
      expect(index.restorePoints.map((point) => ({ name: point.name, lsn: point.lsn }))).toEqual(
        points.map(({ description, end }) => ({ name: description, lsn: end })),
      );
      // Each record is linked with the one before: where the last one is the same, all of them were seen.
      expect(lastRecord).toBe(whole.at(-1)?.start);
      found.transactions += ends.length;
      found.points += points.length;
    }
    expect(found.points).toBe(2);
    expect(found.transactions).toBeGreaterThan(400);
  });

  it('disagree once a bit of a record is flipped', () => {
    for (const name of names.slice(0, 3)) {
      const walked = walk(server, name);
      const { start } = walked;
      const whole = within(walked);
      for (let turn = 0; turn < 40; turn += 1) {
        const record = whole[(turn * 7919) % whole.length]!;
        const room = 8192 - Number(record.start % 8192n);
        const offset = Number(record.start - start) + ((turn * 104_729) % Math.min(record.bytes, room));
        const flip = (bytes: Buffer): void => {
          bytes.writeUInt8(bytes.readUInt8(offset) ^ (1 << (turn % 8)), offset);
        };
        expect(() => walk(server, name, flip), `${name} at ${offset}`).toThrow(
          expect.toSatisfy((error: unknown) => isWaldenError(error, 'FORMAT_INVALID')),
        );
      }
    }
  });

  it('take the segment that is being written for half-written', async () => {
    await server.query('insert into t values (-9)');
    const current = await server.value('select pg_walfile_name(pg_current_wal_insert_lsn())');
    expect(() => walk(server, current)).toThrow(/its WAL is not whole at/);
  });
});

describe.each(testedVersions)('SegmentWalker and the commit log, PostgreSQL %i', (version) => {
  let atWork: AtWork;

  beforeAll(async () => {
    atWork = await startAtWork(version, { track_commit_timestamp: 'on' });
  });

  afterAll(async () => {
    await atWork.server.dispose();
  });

  /** How the server says that the transactions ended which `work` began. */
  async function logged(ids: { readonly first: number; readonly last: number }) {
    const rows = await atWork.server.query(
      `select xid, pg_xact_status(xid::xid8) as status, pg_xact_commit_timestamp(xid::xid)::text as time
       from (select id::text as xid from generate_series($1::int, $2::int) id) ids`,
      [ids.first, ids.last],
    );
    const withStatus = (status: string) => rows.filter((row) => row['status'] === status);
    return {
      // A subtransaction has the time of the transaction that it belongs to, and no record of its own.
      commitTimes: new Set(withStatus('committed').map((row) => parseMicros(String(row['time'])))),
      aborted: withStatus('aborted').map((row) => Number(row['xid'])),
      timeOf: new Map(rows.map((row) => [Number(row['xid']), row['time']])),
    };
  }

  it('agree on how and when every transaction ended', async () => {
    const ends = atWork.names.flatMap((name) => walk(atWork.server, name).transactions);
    const ids = ends.map(({ xid }) => xid);
    const { commitTimes, aborted, timeOf } = await logged({ first: Math.min(...ids), last: Math.max(...ids) });
    const committed = ends.filter((end) => end.committed);
    expect(committed.length).toBeGreaterThan(400);
    for (const { xid, time } of committed) expect(time).toBe(parseMicros(String(timeOf.get(xid))));
    expect(new Set(committed.map(({ time }) => time))).toEqual(commitTimes);
    const rolledBack = ends.filter((end) => !end.committed).map(({ xid }) => xid);
    expect(rolledBack.sort((a, b) => a - b)).toEqual(aborted);
    expect(aborted.length).toBe(3);
  });

  it('know where a restore point ends', async () => {
    const { server } = atWork;
    const end = parseLsn(await server.value("select pg_create_restore_point('here')"));
    const name = await server.value('select pg_walfile_name(pg_switch_wal())');
    expect(walk(server, name).index.restorePoints).toMatchObject([{ name: 'here', lsn: end }]);
  });
});
