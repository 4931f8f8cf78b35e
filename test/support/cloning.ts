import { join } from 'node:path';
import { freePort } from './free-port.ts';
import type { PostgresVersion } from './postgres-binaries.ts';
import type { TestServer } from './postgres-server.ts';
import { newDirectory } from './sandbox.ts';
import { type Scene, startScene } from './scene.ts';
import { until } from './until.ts';
import { type Outcome, programDirectory, runProgram, type RunningProgram, startProgram } from './walden.ts';

/** Without a configuration and a service, as the role `postgres`. */
export const ALONE = { ...process.env, WALDEN_CONFIG: '/nonexistent.toml', PGUSER: 'postgres' };

export interface CloneScene extends Scene {
  /** Options that name the repository, and no service. */
  readonly offline: readonly string[];
  /** Options that name the primary. */
  readonly primary: readonly string[];
}

export async function startCloneScene(version: PostgresVersion): Promise<CloneScene> {
  // What a standby finds in its settings: the server itself has another one on its command line.
  const settings = { unix_socket_directories: newDirectory('sb'), wal_retrieve_retry_interval: '200ms' };
  const scene = await startScene({ version, tcpPort: await freePort(), settings });
  await scene.walden.run('backup', 'main');
  const offline = ['--repository-path', scene.walden.repositoryPath()];
  return { ...scene, offline, primary: ['--primary', primaryOf(scene.server)] };
}

export function primaryOf({ conninfo }: Pick<TestServer, 'conninfo'>): string {
  return conninfo.replace(' dbname=postgres', '');
}

export function launch(words: readonly string[], env: NodeJS.ProcessEnv = ALONE): RunningProgram {
  return startProgram(join(programDirectory, 'walden'), ['clone', 'main', ...words], { env });
}

export async function clone(words: readonly string[], env: NodeJS.ProcessEnv = ALONE): Promise<Outcome> {
  return await runProgram(join(programDirectory, 'walden'), ['clone', 'main', ...words], { env });
}

export async function slotsOf(server: Pick<TestServer, 'query'>): Promise<readonly string[]> {
  const rows = await server.query('select slot_name from pg_replication_slots order by 1');
  return rows.map((row) => String(row['slot_name']));
}

export async function streamsFrom(
  primary: Pick<TestServer, 'query'>,
  slot: string,
  explain: () => string,
): Promise<void> {
  await until(
    async () => {
      const [row] = await primary.query(
        `select r.state from pg_stat_replication r join pg_replication_slots s on s.active_pid = r.pid
         where s.slot_name = $1 and s.active`,
        [slot],
      );
      return row?.['state'] === 'streaming';
    },
    { what: `a standby to stream from the slot ${slot}`, explain },
  );
}

export async function replayed(standby: Pick<TestServer, 'value'>, primary: Pick<TestServer, 'value'>): Promise<void> {
  const end = await primary.value('select pg_current_wal_flush_lsn()');
  await until(async () => (await standby.value(`select pg_last_wal_replay_lsn() >= '${end}'`)) === 'true', {
    what: `the standby to replay up to ${end}`,
  });
}
