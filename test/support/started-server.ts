import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { binDirectory, type PostgresVersion } from './postgres-binaries.ts';
import type { Row, TestServer } from './postgres-server.ts';
import { watchProcess } from './sandbox.ts';

const DEADLINE_MS = 180_000;

/** A server that something else than the test has started. */
export interface StartedServer extends Pick<TestServer, 'client' | 'query' | 'value'> {
  readonly pid: number;
  /** libpq's, for the database `postgres`. */
  readonly conninfo: string;
  /** What it wrote into `walden-start.log`. */
  log(): string;
  /** Immediately. */
  stop(): Promise<void>;
}

/** By what postmaster.pid says. It is killed when this process ends. */
export function startedServer(dataDirectory: string, version: PostgresVersion): StartedServer {
  const lines = readFileSync(join(dataDirectory, 'postmaster.pid'), 'utf8').split('\n');
  const [pid, , , port, host = ''] = lines.map((line) => line.trim());
  const forget = watchProcess(Number(pid));
  const client = async (): Promise<pg.Client> => {
    const connected = new pg.Client({ host, port: Number(port), user: 'postgres', database: 'postgres' });
    connected.on('error', () => undefined);
    await connected.connect();
    return connected;
  };
  const query = async (sql: string, parameters: readonly unknown[] = []): Promise<readonly Row[]> => {
    const connected = await client();
    try {
      return (await connected.query<Row>(sql, [...parameters])).rows;
    } finally {
      await connected.end();
    }
  };
  return {
    pid: Number(pid),
    conninfo: `host=${host} port=${port ?? ''} user=postgres dbname=postgres`,
    client,
    query,
    async value(sql, parameters) {
      const [row, ...more] = await query(sql, parameters);
      if (row === undefined || more.length > 0) throw new Error(`not one row: ${sql}`);
      return String(Object.values(row)[0]);
    },
    log: () => readFileSync(join(dataDirectory, 'walden-start.log'), 'utf8'),
    async stop() {
      const pgCtl = join(binDirectory(version), 'pg_ctl');
      await promisify(execFile)(pgCtl, ['-D', dataDirectory, '-m', 'immediate', '-w', 'stop'], {
        timeout: DEADLINE_MS,
      });
      forget();
    },
  };
}
