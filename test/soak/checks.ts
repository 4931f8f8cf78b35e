import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupListDocument, StatusDocument, WalListDocument } from '../../src/service/api.ts';
import type { JobListDocument } from '../../src/service/watch-api.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { acknowledgedButMissing, archiveNow } from '../support/archiving.ts';
import { checkIndexes } from '../support/fingerprint.ts';
import { assertSameRows, freshTarget } from '../support/scene.ts';
import { filesBelow } from '../support/stored.ts';
import { until } from '../support/until.ts';
import type { WaldenHarness } from '../support/walden.ts';
import { checkCopy } from './errands.ts';
import { revive } from './victims.ts';
import { assertTransfers, hold, type World } from './world.ts';

const CATCH_UP_DEADLINE_MS = 300_000;

/** What the service must never have said, whoever was killed. */
const FORBIDDEN: readonly ErrorCode[] = [
  'ARCHIVE_DUPLICATE',
  'ARCHIVE_GAP',
  'BACKUP_INVALID',
  'CATALOG_CORRUPT',
  'CHECKSUM_MISMATCH',
  'FORMAT_INVALID',
  'INTERNAL',
  'SERVER_MISMATCH',
  'STORAGE_OBJECT_EXISTS',
  'STORAGE_OBJECT_MISSING',
];

/** After the last kill: the load has ended, everything runs. Each check that does not hold becomes a problem. */
export async function checkEverything(world: World): Promise<void> {
  await hold(world, 'the archiver is stuck', () => checkArchiver(world));
  await hold(world, 'the standby', () => checkStandby(world));
  await hold(world, 'the archive', () => checkArchive(world));
  await hold(world, 'the backups', () => checkBackups(world));
  await hold(world, 'the copies', () => checkCopies(world));
  await hold(world, 'what the next start leaves', () => checkLeftovers(world));
  await hold(world, 'what the next backup leaves', () => checkSweep(world));
  await hold(world, 'the log of the service', () => checkLog(world));
}

async function checkArchiver({ scene: { server, walden } }: World): Promise<void> {
  const segment = await archiveNow(server);
  await until(async () => (await server.value('select last_archived_wal from pg_stat_archiver')) >= segment, {
    what: `pg_stat_archiver to have come to ${segment}`,
    deadlineMs: CATCH_UP_DEADLINE_MS,
  });
  const status = readdirSync(join(server.dataDirectory, 'pg_wal', 'archive_status'));
  expectNone(
    'files that wait',
    status.filter((name) => name.endsWith('.ready')),
  );
  expectNone('acknowledged segments that are not stored', acknowledgedButMissing(server, walden));
}

async function checkStandby(world: World): Promise<void> {
  const { scene, standby, load } = world;
  const end = await scene.server.value('select pg_switch_wal()');
  await until(
    async () => {
      // A walden-fetch that died of a signal ends it as it should.
      if (!standby.running) await revive(world);
      return (await standby.value('select pg_last_wal_replay_lsn() >= $1::pg_lsn', [end])) === 'true';
    },
    { what: `the standby to replay ${end}`, deadlineMs: CATCH_UP_DEADLINE_MS, explain: () => tailOf(standby.log()) },
  );
  await assertTransfers(world, standby, load.acknowledged.length);
  await assertSameRows(standby, scene.server);
  await checkIndexes(standby);
}

async function checkArchive({ scene: { walden } }: World): Promise<void> {
  const { gaps } = (await walden.json('wal', 'gaps', 'main')) as { readonly gaps: readonly unknown[] };
  expectNone('gaps', gaps);
  const { ranges } = (await walden.json('wal', 'list', 'main')) as WalListDocument;
  if (ranges.length !== 1) throw new Error(`the WAL is not one range: ${JSON.stringify(ranges)}`);
  const { clusters } = (await walden.json('status')) as StatusDocument;
  expectNone(
    'refused files',
    clusters.flatMap(({ wal }) => wal.refusals),
  );
}

async function checkBackups({ scene: { walden }, notes }: World): Promise<void> {
  const { backups } = (await walden.json('list', 'main')) as BackupListDocument;
  const states = new Map(backups.map(({ id, state }) => [id, state]));
  expectNone(
    'reported backups that are not complete',
    notes.backups.filter((id) => states.get(id) !== 'complete'),
  );
  expectNone(
    'backups without an end',
    backups.filter(({ state }) => state !== 'complete' && state !== 'failed'),
  );
  const { jobs } = (await walden.json('job', 'list')) as JobListDocument;
  expectNone(
    'jobs without an end',
    jobs.filter(({ state }) => state === 'running'),
  );
}

/** The newest backup, the oldest through all WAL since, and that each other one opens. */
async function checkCopies(world: World): Promise<void> {
  const { scene, load, notes } = world;
  // What recoveries of before left in the spool would stand in for what the archive has lost.
  const prefetched = join(scene.walden.stateDirectory, 'spool', 'main', 'fetch');
  for (const name of filesBelow(prefetched)) rmSync(join(prefetched, name), { force: true });
  const sure = load.acknowledged.length;
  const [oldest = '', ...others] = notes.backups;
  for (const words of [[], ['--backup', oldest]]) {
    const to = freshTarget();
    await scene.walden.run('restore', 'main', '--to', to, '--latest', ...words);
    await checkCopy(world, to, { sure, compare: (copy) => assertSameRows(copy, scene.server) });
  }
  for (const backup of others) {
    const to = freshTarget();
    await scene.walden.run('restore', 'main', '--to', to, '--immediate', '--action', 'promote', '--backup', backup);
    await checkCopy(world, to, { sure: 0 });
  }
}

async function checkLeftovers({ scene: { server, walden } }: World): Promise<void> {
  await walden.stop();
  await walden.start();
  // The first push tidies the acknowledgements up.
  await archiveNow(server);
  await untilNone('staged objects', () => stagedObjects(walden));
  await untilNone('staged files', () => {
    return filesBelow(walden.stateDirectory).filter((path) => /(^|\/)(staging\/|\.)|\.tmp$/.test(path));
  });
}

/** What is under way, for the standby say, goes by itself; what a killed service left stays. */
async function untilNone(what: string, look: () => readonly string[]): Promise<void> {
  await until(() => look().length === 0, {
    what: `${what} to be gone`,
    explain: () => look().join('; '),
  });
}

async function checkSweep({ scene: { walden }, notes }: World): Promise<void> {
  await walden.run('backup', 'main');
  const { backups } = (await walden.json('list', 'main')) as BackupListDocument;
  expectNone(
    'backups that are not complete',
    backups.filter(({ state }) => state !== 'complete'),
  );
  const listed = new Set(backups.map(({ id }) => id));
  expectNone(
    'reported backups that are gone',
    notes.backups.filter((id) => !listed.has(id)),
  );
  const stored = filesBelow(join(walden.repositoryPath(), 'main', 'base'));
  expectNone(
    'objects of backups that failed',
    stored.filter((key) => !listed.has(key.slice(0, key.indexOf('/')))),
  );
  expectNone('staged objects', stagedObjects(walden));
}

async function checkLog({ scene: { walden } }: World): Promise<void> {
  const told = (await walden.log()).split('\n').filter((line) => FORBIDDEN.some((code) => line.includes(`"${code}"`)));
  expectNone('lines of the log', told);
}

function stagedObjects(walden: WaldenHarness): readonly string[] {
  // The marker is there as long as the store is.
  return filesBelow(join(walden.repositoryPath(), '.staging')).filter((path) => path !== 'present');
}

/** The last lines, where a whole log would drown what was found. */
export async function tailOf(log: Promise<string>): Promise<string> {
  return (await log).trimEnd().split('\n').slice(-40).join('\n');
}

function expectNone(what: string, found: readonly unknown[]): void {
  if (found.length === 0) return;
  const few = found.slice(0, 5).map((one) => (typeof one === 'string' ? one : JSON.stringify(one)));
  throw new Error(`${found.length} ${what}: ${few.join('; ')}`);
}
