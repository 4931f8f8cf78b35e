import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupDocument, JobDocument, PlanDocument } from '../../src/service/api.ts';
import { archiveInto, archiveNow, serverTime } from '../../test/support/archiving.ts';
import { prepareLoad, startLoad, totalBalance } from '../../test/support/load.ts';
import { type PostgresVersion } from '../../test/support/postgres-binaries.ts';
import { startRestored, startServer, type TestServer } from '../../test/support/postgres-server.ts';
import { newDirectory } from '../../test/support/sandbox.ts';
import { createWalden, type WaldenHarness } from '../../test/support/walden.ts';
import { formatBytes, formatCount, type Screen } from './screen.ts';

/** What the demo has started so far: ended in every case, and its logs shown when something went wrong. */
export interface Cast {
  original?: TestServer;
  walden?: WaldenHarness;
  restored?: TestServer;
}

const SETTINGS = { archive_mode: 'on', wal_level: 'replica', checkpoint_timeout: '30s' };
const FIRST_LOAD = 2500;
const SECOND_LOAD = 2500;

/** The main job on real parts, told step by step. */
export async function tellStory(screen: Screen, version: PostgresVersion, cast: Cast): Promise<void> {
  const server = await screen.step(`start PostgreSQL ${version}, archive_mode = on`, () =>
    startServer({ version, settings: SETTINGS, initdbArguments: ['-k'] }),
  );
  cast.original = server;
  const walden = createWalden({ clusters: { main: server } });
  cast.walden = walden;
  await screen.step('walden service', () => walden.start());
  await screen.step('archive_command = bin/walden-push; write under load', () => firstLoad(server, walden));
  await takeBackup(screen, walden);
  const { moment, before } = await screen.step('write more, then, by mistake: DROP TABLE accounts', () =>
    makeMistake(server),
  );
  screen.detail(`just before it was ${moment}; accounts then: ${describeAccounts(before)}`);
  describeArchive(screen, walden);
  const directory = join(newDirectory('restored'), 'data');
  await planAndRestore(screen, walden, { moment, directory });
  const restored = await screen.step('start the restored server: it fetches WAL by bin/walden-fetch', () =>
    startRestored(directory, { version }),
  );
  cast.restored = restored;
  await showRows(screen, { restored, original: server, before });
}

async function firstLoad(server: TestServer, walden: WaldenHarness): Promise<void> {
  await archiveInto(server, walden);
  await prepareLoad(server);
  const load = await startLoad(server);
  await load.advance(FIRST_LOAD);
  await load.stop();
  await archiveNow(server);
}

async function takeBackup(screen: Screen, walden: WaldenHarness): Promise<void> {
  const answer = await screen.step('walden backup main', () => walden.json('backup', 'main'));
  const { job } = answer as { readonly job: JobDocument };
  const { backups } = job.result as { readonly backups: readonly BackupDocument[] };
  const facts = backups[0]?.facts;
  if (facts === null || facts === undefined) return;
  const sizes = `${formatBytes(facts.plainBytes)} stored in ${formatBytes(facts.storedBytes)}`;
  screen.detail(`${backups[0]?.id ?? ''}: ${formatCount(facts.files)} files, ${sizes}`);
}

/** Accounts as they are at one moment. */
interface Accounts {
  readonly rows: string;
  readonly balance: string;
  readonly hash: string;
}

async function accountsOf(server: TestServer): Promise<Accounts> {
  const [row] = await server.query(
    `select count(*)::text as rows, sum(balance)::text as balance,
       sum(hashtextextended(a::text, 0)::numeric)::text as hash from accounts a`,
  );
  return row as unknown as Accounts;
}

function describeAccounts({ rows, balance }: Accounts): string {
  return `${formatCount(rows)} rows, balances ${formatCount(balance)}`;
}

async function makeMistake(server: TestServer): Promise<{ readonly moment: string; readonly before: Accounts }> {
  const load = await startLoad(server);
  await load.advance(SECOND_LOAD);
  await load.stop();
  const before = await accountsOf(server);
  const moment = await serverTime(server);
  await server.query('drop table accounts');
  await archiveNow(server);
  return { moment, before };
}

function describeArchive(screen: Screen, walden: WaldenHarness): void {
  const root = join(walden.repositoryPath(), 'main', 'wal');
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const stored = files.reduce((sum, file) => sum + statSync(join(file.parentPath, file.name)).size, 0);
  screen.detail(`in the archive so far: ${formatCount(files.length)} WAL files in ${formatBytes(stored)}`);
}

async function planAndRestore(
  screen: Screen,
  walden: WaldenHarness,
  goal: { readonly moment: string; readonly directory: string },
): Promise<void> {
  const answer = await screen.step(`walden plan main --time '${goal.moment}'`, () =>
    walden.json('plan', 'main', '--time', goal.moment),
  );
  const { backup, wal, restoreBytes } = answer as PlanDocument;
  screen.detail(
    `backup ${backup.id}, ${formatBytes(restoreBytes)}, then ${wal.segments} segments from ${wal.first} on`,
  );
  await screen.step("walden restore main --to … --time '…' --action promote", () =>
    walden.run('restore', 'main', '--to', goal.directory, '--time', goal.moment, '--action', 'promote'),
  );
}

async function showRows(
  screen: Screen,
  facts: { readonly restored: TestServer; readonly original: TestServer; readonly before: Accounts },
): Promise<void> {
  const gone = await facts.original.value("select to_regclass('accounts') is null");
  const after = await accountsOf(facts.restored);
  const same = after.hash === facts.before.hash && after.balance === totalBalance();
  screen.detail(`original: ${gone === 'true' ? 'relation "accounts" does not exist' : 'accounts is still there?'}`);
  screen.detail(`restored: ${describeAccounts(after)}: ${same ? 'every row as it was' : 'NOT what it was'}`);
  const rows = await facts.restored.query(
    'select id, left(owner, 18) as owner, balance from accounts order by id limit 3',
  );
  for (const row of rows) {
    screen.detail(
      `  ${String(row['id']).padStart(4)} | ${String(row['owner'])} | ${String(row['balance']).padStart(6)}`,
    );
  }
  if (gone !== 'true' || !same) throw new Error('the restored table is not the one that was dropped');
}
