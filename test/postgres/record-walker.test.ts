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
import { startServer, type TestServer } from '../support/postgres-server.ts';

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

describe.each([15, 17] as const)('SegmentWalker and pg_walinspect, PostgreSQL %i', (version) => {
  let server: TestServer;
  let records: readonly Inspected[];
  let names: readonly string[];

  beforeAll(async () => {
    server = await startServer({
      version,
      initdbArguments: ['--wal-segsize=1', '-k'],
      settings: { max_prepared_transactions: 5, wal_keep_size: '512MB', autovacuum: 'off', statement_timeout: '30s' },
    });
    await server.query('create extension pg_walinspect');
    await server.query('select pg_switch_wal()');
    const from = parseLsn(await server.value('select pg_current_wal_insert_lsn()'));
    await work(server);
    const to = parseLsn(await server.value('select pg_current_wal_flush_lsn()'));
    records = await inspect(server, from, to);
    const bytes = 1n << 20n;
    const rows = await server.query(
      'select name from pg_ls_waldir() where name >= pg_walfile_name($1) and name < pg_walfile_name($2) order by name',
      // The name of a position at the very end of a segment is that of the segment before.
      [formatLsn((from + 1n) as Lsn), formatLsn(((to / bytes) * bytes + 1n) as Lsn)],
    );
    names = rows.map((row) => String(row['name']));
  });

  afterAll(async () => {
    await server.dispose();
  });

  function walk(name: string, change?: (bytes: Buffer) => void) {
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
    const end = start + BigInt(header.segmentBytes);
    const whole = records.filter((record) => record.start >= start && record.end <= end);
    return { index, transactions, lastRecord: walker.lastRecord, whole, start };
  }

  it('agree on every transaction, restore point and the last record of each segment', () => {
    expect(names.length).toBeGreaterThan(6);
    const found = { transactions: 0, points: 0 };
    for (const name of names) {
      const { index, transactions, lastRecord, whole } = walk(name);
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
      const { whole, start } = walk(name);
      for (let turn = 0; turn < 40; turn += 1) {
        const record = whole[(turn * 7919) % whole.length]!;
        const room = 8192 - Number(record.start % 8192n);
        const offset = Number(record.start - start) + ((turn * 104_729) % Math.min(record.bytes, room));
        const flip = (bytes: Buffer): void => {
          bytes.writeUInt8(bytes.readUInt8(offset) ^ (1 << (turn % 8)), offset);
        };
        expect(() => walk(name, flip), `${name} at ${offset}`).toThrow(
          expect.toSatisfy((error: unknown) => isWaldenError(error, 'FORMAT_INVALID')),
        );
      }
    }
  });

  it('take the segment that is being written for half-written', async () => {
    await server.query('insert into t values (-9)');
    const current = await server.value('select pg_walfile_name(pg_current_wal_insert_lsn())');
    expect(() => walk(current)).toThrow(/its WAL is not whole at/);
  });
});
