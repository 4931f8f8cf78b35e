import { join } from 'node:path';
import { archiveInto } from './archiving.ts';
import { checkIndexes, fingerprint } from './fingerprint.ts';
import { prepareLoad, totalBalance } from './load.ts';
import {
  type RestoredOptions,
  type ServerOptions,
  startRestored,
  startServer,
  type TestServer,
} from './postgres-server.ts';
import { newDirectory } from './sandbox.ts';
import { createWalden, type WaldenHarness, type WaldenOptions } from './walden.ts';

/** A server that archives into a running service as its cluster `main`, with the tables of the load and `marks`. */
export interface Scene {
  readonly server: TestServer;
  readonly walden: WaldenHarness;
  dispose(): Promise<void>;
}

export interface SceneOptions extends ServerOptions {
  readonly walden?: Omit<WaldenOptions, 'clusters'>;
}

export async function startScene(options: SceneOptions): Promise<Scene> {
  const settings = { archive_mode: 'on', wal_level: 'replica', ...options.settings };
  const server = await startServer({ ...options, settings });
  const walden = createWalden({ ...options.walden, clusters: { main: server } });
  await walden.start();
  await archiveInto(server, walden);
  await prepareLoad(server);
  await server.query('create table marks (mark text primary key)');
  return {
    server,
    walden,
    async dispose() {
      await server.dispose();
      await walden.kill();
    },
  };
}

/** A point of the history that a restore may aim at: just after the transaction that wrote `mark`. */
export interface Mark {
  readonly xid: string;
  readonly lsn: string;
}

/** Commits one row into `marks`, and writes a record of no effect after it, so that the LSN lies between two commits. */
export async function leaveMark(server: Pick<TestServer, 'query' | 'value'>, mark: string): Promise<Mark> {
  const xid = await server.value(
    'with row as (insert into marks values ($1) returning 1) select pg_current_xact_id()::text from row',
    [mark],
  );
  const lsn = await server.value('select pg_current_wal_insert_lsn()');
  await server.query("select pg_logical_emit_message(false, 'test', 'after a mark')");
  return { xid, lsn };
}

export async function marksOf(server: Pick<TestServer, 'query'>): Promise<readonly string[]> {
  return (await server.query('select mark from marks order by mark')).map((row) => String(row['mark']));
}

/** A path for a restored data directory that does not exist yet. */
export function freshTarget(): string {
  return join(newDirectory('target'), 'data');
}

/**
 * `walden restore main --to … WORDS`, and the server on it. Its indexes and the sum of its balances are checked: whatever
 * the target is, these hold.
 */
export async function restoreAndStart(
  { walden, server }: Scene,
  words: readonly string[],
  options: Partial<RestoredOptions> = {},
): Promise<TestServer> {
  const to = freshTarget();
  await walden.run('restore', 'main', '--to', to, ...words);
  const restored = await startRestored(to, { version: server.version, ...options });
  await assertSound(restored);
  return restored;
}

/** @throws Error when an index, or the sum of the balances, is not right */
export async function assertSound(server: TestServer): Promise<void> {
  const checked = await checkIndexes(server);
  if (checked < 100) throw new Error(`amcheck looked at ${checked} indexes only`);
  const balance = await server.value('select sum(balance) from accounts');
  if (balance !== totalBalance()) throw new Error(`the balances add up to ${balance}, not to ${totalBalance()}`);
}

/** @throws Error unless both hold the same rows */
export async function assertSameRows(one: TestServer, other: TestServer): Promise<void> {
  const [left, right] = [JSON.stringify(await fingerprint(one)), JSON.stringify(await fingerprint(other))];
  if (left !== right) throw new Error(`not the same rows:\n${left}\n${right}`);
}
