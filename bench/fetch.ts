import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { appendSettings, startRestored, type TestServer } from '../test/support/postgres-server.ts';
import { newDirectory, removeDirectory } from '../test/support/sandbox.ts';
import { createWalden, type WaldenHarness } from '../test/support/walden.ts';
import { PgBackRest, pgBackRestVersion } from './pgbackrest.ts';
import { type Account, UsageMeter } from './processes.ts';
import { recoveryCalls } from './recovery-calls.ts';
import { type Contender, type Figures, figure, inTurn, printBars, printFigures, ratio, type Rounds } from './report.ts';
import { settleDisk } from './tree.ts';
import { addWal, drain, emptyServer } from './wal-source.ts';

const SEGMENTS = 200;
const REPLAY_SECONDS = 0.03;
const RECOVERY_DEADLINE_MS = 600_000;

/** One who hands WAL files out. */
interface Source {
  readonly name: string;
  /** What is read from; in the page cache at the beginning. */
  readonly archive: string;
  readonly restoreCommand: (dataDirectory: string) => string;
  readonly accountOf: (words: string, pid: number) => Account;
  readonly forget: () => void;
}

interface Scene {
  readonly server: TestServer;
  /** The data directory as it was before the WAL was written. */
  readonly base: string;
  readonly names: readonly string[];
}

/** WAL files asked for in sequence, and a real recovery of as many. */
export async function benchFetch(rounds: Rounds): Promise<void> {
  const server = await emptyServer();
  await server.stop();
  const base = newDirectory('base');
  cpSync(server.dataDirectory, base, { recursive: true });
  await server.start();
  const scene: Scene = { server, base, names: await addWal(server, SEGMENTS) };
  const walden = createWalden({ clusters: { main: server } });
  await walden.start();
  const peer = pgBackRestVersion() === undefined ? undefined : new PgBackRest({ ...server, level: 1, async: true });
  if (peer === undefined) console.log('pgBackRest is not installed: skipped');
  try {
    const sources = [await waldenSource(scene, walden), ...(peer === undefined ? [] : await peerSources(scene, peer))];
    await benchCalls(scene, sources, rounds);
    await benchRecovery(scene, sources, rounds);
  } finally {
    await walden.stop();
    peer?.dispose();
    await server.dispose();
    removeDirectory(base);
  }
}

async function waldenSource({ server }: Scene, walden: WaldenHarness): Promise<Source> {
  const { archiveCommand, restoreCommand } = await walden.commandSettings();
  await drain(server, archiveCommand, () => undefined);
  return {
    name: 'Walden',
    archive: walden.repositoryPath(),
    restoreCommand: () => restoreCommand,
    accountOf: (_words, pid) => (pid === walden.pid ? 'own' : undefined),
    forget: () => undefined,
  };
}

/** Its queue at 1 GiB, and the way without a queue. */
async function peerSources({ server }: Scene, peer: PgBackRest): Promise<readonly Source[]> {
  await peer.run('stanza-create');
  await drain(server, peer.archiveCommand, () => undefined);
  return [true, false].map((async) => ({
    name: async ? 'pgBackRest async, 1 GiB' : 'pgBackRest sync',
    archive: peer.repository,
    restoreCommand: (dataDirectory) => {
      peer.configure({ dataDirectory, socketDirectory: server.socketDirectory, level: 1, async });
      return peer.restoreCommand;
    },
    accountOf: (words) => (/^\S*pgbackrest /.test(words) ? 'own' : undefined),
    forget: () => {
      rmSync(join(peer.directory, 'spool', 'archive'), { recursive: true, force: true });
    },
  }));
}

async function benchCalls(scene: Scene, sources: readonly Source[], rounds: Rounds): Promise<void> {
  await scene.server.stop();
  const { dataDirectory } = scene.server;
  const contenders: Contender[] = [0, REPLAY_SECONDS].flatMap((replaySeconds) =>
    sources.map((source) => ({
      name: nameOf(source.name, replaySeconds),
      run: async () => {
        source.forget();
        settleDisk(source.archive);
        const { names } = scene;
        const restoreCommand = source.restoreCommand(dataDirectory);
        const { seconds, p50, p99 } = await recoveryCalls({ dataDirectory, restoreCommand, names, replaySeconds });
        return { 'fetches/s': names.length / seconds, 'p50 ms': p50, 'p99 ms': p99 };
      },
    })),
  );
  console.log(`\nfetch: ${SEGMENTS} segments in sequence, zstd 1, from a local repository`);
  const results = await inTurn(contenders, rounds);
  printFigures('fetch', results);
  printBars([
    {
      what: 'fetches/s over pgBackRest async, 1 GiB',
      value: ratio(results, nameOf('Walden', 0), nameOf('pgBackRest async, 1 GiB', 0), 'fetches/s'),
      least: 1.6,
    },
    {
      what: 'p50 with 30 ms of replay between calls, ms',
      value: figure(results, nameOf('Walden', REPLAY_SECONDS), 'p50 ms'),
      most: 4,
    },
  ]);
}

function nameOf(source: string, replaySeconds: number): string {
  return `${source}, ${replaySeconds === 0 ? 'no' : `${replaySeconds * 1000} ms of`} replay`;
}

async function benchRecovery(scene: Scene, sources: readonly Source[], rounds: Rounds): Promise<void> {
  const contenders = sources.map((source) => ({ name: source.name, run: () => recover(scene, source) }));
  console.log(`\nrecovery: a server replays the same ${SEGMENTS} segments`);
  const results = await inTurn(contenders, rounds);
  printFigures('recovery', results);
}

async function recover({ base }: Scene, source: Source): Promise<Figures> {
  const directory = newDirectory('recovered');
  const data = join(directory, 'data');
  source.forget();
  cpSync(base, data, { recursive: true });
  writeFileSync(join(data, 'recovery.signal'), '');
  await appendSettings(data, {
    restore_command: source.restoreCommand(data),
    archive_mode: 'off',
    max_wal_size: '4GB',
  });
  settleDisk(source.archive);
  const meter = new UsageMeter((words, pid) =>
    words.startsWith('postgres: startup') ? 'with-children' : source.accountOf(words, pid),
  );
  const begin = performance.now();
  try {
    const server = await startRestored(data, { version: 15, deadlineMs: RECOVERY_DEADLINE_MS });
    const seconds = (performance.now() - begin) / 1000;
    const { cpuSeconds } = meter.stop();
    await server.dispose();
    return { s: seconds, 'segments/s': SEGMENTS / seconds, 'CPU s, replay too': cpuSeconds };
  } finally {
    removeDirectory(directory);
  }
}
