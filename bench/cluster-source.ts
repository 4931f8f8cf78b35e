import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Settings, startServer, type TestServer } from '../test/support/postgres-server.ts';
import type { Rounds } from './report.ts';

/** As a server in production; what it archives while it is filled is nobody's. */
const SETTINGS: Settings = {
  fsync: 'on',
  wal_level: 'replica',
  archive_mode: 'on',
  archive_command: '/bin/true',
  shared_buffers: '256MB',
  max_wal_size: '2GB',
  autovacuum: 'off',
};

/** A cluster that is backed up and restored. */
export interface BenchCluster {
  readonly name: string;
  readonly server: TestServer;
  /** Of the files that a backup holds: everything but pg_wal. */
  readonly files: readonly string[];
  readonly bytes: number;
}

/** The clusters that are asked for, one after the other. */
export async function withEachCluster(
  { clusters }: Rounds,
  work: (cluster: BenchCluster) => Promise<void>,
): Promise<void> {
  const all = [
    { name: '3 GB', make: bigCluster },
    { name: '100,000 relations', make: manyRelations },
  ];
  for (const { make } of all.filter(({ name }) => clusters.test(name))) {
    const cluster = await make();
    try {
      await work(cluster);
    } finally {
      await cluster.server.dispose();
    }
  }
}

/** About 3 GB in few files: rows as pgbench has them, text, and bytes that no codec makes smaller. */
async function bigCluster(): Promise<BenchCluster> {
  return await fill('3 GB', async (server) => {
    await server.query(`
      create table accounts as
        select i as id, i % 100 as branch, 0 as balance, ''::char(84) as filler from generate_series(1, 11000000) i;
      create index on accounts (id);
      create table documents as
        select i as id, md5(i::text) || repeat(md5((i % 1000)::text), 2) as words from generate_series(1, 5500000) i;
      create table pictures (bytes bytea);
      alter table pictures alter bytes set storage external`);
    for (let piece = 0; piece < 40; piece += 1) {
      await server.query('insert into pictures select $1 from generate_series(1, 2)', [randomBytes(4 * 1024 * 1024)]);
    }
  });
}

/** As many relations as the largest catalogs have, each of one page. */
async function manyRelations(count = 100_000): Promise<BenchCluster> {
  return await fill(`${count.toLocaleString('en')} relations`, async (server) => {
    await server.query(`create procedure many(count int) language plpgsql as $$ begin
        for i in 1..count loop
          execute format('create table r%s as select %s as id', i, i);
          if i % 500 = 0 then commit; end if;
        end loop;
      end $$`);
    await server.query(`call many(${count})`);
  });
}

async function fill(name: string, work: (server: TestServer) => Promise<void>): Promise<BenchCluster> {
  process.stderr.write(`  making a cluster of ${name} … `);
  const server = await startServer({ version: 15, settings: SETTINGS, initdbArguments: ['-k'] });
  await server.query('set synchronous_commit = off');
  await work(server);
  await server.query('vacuum freeze');
  await server.query('checkpoint');
  const files = filesOf(server.dataDirectory);
  const bytes = files.reduce((sum, file) => sum + lstatSync(file).size, 0);
  process.stderr.write(`${files.length} files, ${(bytes / 1e9).toFixed(2)} GB\n`);
  return { name, server, files, bytes };
}

function filesOf(dataDirectory: string): readonly string[] {
  return readdirSync(dataDirectory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !file.startsWith(join(dataDirectory, 'pg_wal')));
}
