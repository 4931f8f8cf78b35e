import { join } from 'node:path';
import type { TestServer } from '../test/support/postgres-server.ts';
import { newDirectory, removeDirectory } from '../test/support/sandbox.ts';
import { createWalden, programDirectory, type WaldenHarness } from '../test/support/walden.ts';
import { type BenchCluster, withEachCluster } from './cluster-source.ts';
import { type Load, measured } from './measured.ts';
import { recoveryCalls } from './recovery-calls.ts';
import { type Figures, inTurn, printBars, printFigures, ratio, type Rounds } from './report.ts';
import { settleDisk } from './tree.ts';
import { drain, emptyServer, addWal, setArchiveCommand } from './wal-source.ts';

/** The same work with a local repository that is encrypted, and with one that is not, in turn: at zstd 1, where it costs most. */

const LEVEL = 1;
const SEGMENTS = 80;
const LEAST = 0.8;
const KINDS = ['plain', 'encrypted'] as const;
type Kind = (typeof KINDS)[number];

export async function benchEncryption(rounds: Rounds): Promise<void> {
  if (rounds.clusters.test('WAL')) await benchWal(rounds);
  await withEachCluster(rounds, (cluster) => benchBackups(cluster, rounds));
}

async function benchWal(rounds: Rounds): Promise<void> {
  console.log(`\nencryption: ${SEGMENTS} segments of 16 MB archived and fetched, zstd ${LEVEL}, local repository`);
  const server = await emptyServer();
  const names = await addWal(server, SEGMENTS);
  try {
    const pushes = await inTurn(
      KINDS.map((kind) => ({
        name: kind,
        run: () => withWalden(server, kind, async ({ walden, archive }) => await archive(walden.pid)),
      })),
      rounds,
    );
    compare('push', pushes, 'segments/s');
    const fetches = await withWalden(server, 'plain', (plain) =>
      withWalden(server, 'encrypted', async (encrypted) => {
        const commands: string[] = [];
        for (const { walden, archive } of [plain, encrypted]) {
          await archive(walden.pid);
          commands.push((await walden.commandSettings()).restoreCommand);
        }
        const { dataDirectory } = server;
        await server.stop();
        return await inTurn(
          KINDS.map((name, index) => ({
            name,
            run: async () => {
              settleDisk((index === 0 ? plain : encrypted).repository);
              const restoreCommand = commands[index] ?? '';
              const calls = await recoveryCalls({ dataDirectory, restoreCommand, names, replaySeconds: 0 });
              return { 'fetches/s': names.length / calls.seconds, 'p50 ms': calls.p50, 'p99 ms': calls.p99 };
            },
          })),
          rounds,
        );
      }),
    );
    compare('fetch', fetches, 'fetches/s');
  } finally {
    await server.dispose();
  }
}

async function benchBackups(cluster: BenchCluster, rounds: Rounds): Promise<void> {
  const { server } = cluster;
  const load = { bytes: cluster.bytes, files: cluster.files.length };
  console.log(`\nencryption: ${cluster.name} backed up and restored, zstd ${LEVEL}, local repository`);
  await withWalden(server, 'plain', (plain) =>
    withWalden(server, 'encrypted', async (encrypted) => {
      const of = (kind: Kind): EncryptionScene => (kind === 'plain' ? plain : encrypted);
      const backups = await inTurn(
        KINDS.map((name) => ({ name, run: () => backUp(of(name), server, load) })),
        rounds,
      );
      compare('backup', backups, 'MB/s');
      const restores = await inTurn(
        KINDS.map((name) => ({ name, run: () => restore(of(name), load) })),
        rounds,
      );
      compare('restore', restores, 'MB/s');
    }),
  );
}

interface EncryptionScene {
  readonly walden: WaldenHarness;
  readonly repository: string;
  /** Hands all WAL of the server to it. */
  readonly archive: (pid: number | undefined) => Promise<Figures>;
}

async function withWalden<Result>(
  server: TestServer,
  kind: Kind,
  work: (scene: EncryptionScene) => Promise<Result>,
): Promise<Result> {
  const repository = newDirectory('repository');
  const keys = kind === 'plain' ? [] : [`key_directory = "${newDirectory('keys')}"`];
  const walden = createWalden({
    clusters: { main: server },
    clusterSettings: [`wal_compression_level = ${LEVEL}`],
    stores: { local: ['driver = "local"', `path = "${repository}"`, ...keys] },
  });
  if (kind === 'encrypted') await walden.run('key', 'new', 'local');
  await walden.start();
  try {
    const { archiveCommand } = await walden.commandSettings();
    const archive = (own: number | undefined): Promise<Figures> =>
      drain(server, archiveCommand, (_words, pid) => (pid === own ? 'own' : undefined));
    return await work({ walden, repository, archive });
  } finally {
    await walden.stop();
    removeDirectory(walden.directory);
    removeDirectory(repository);
  }
}

async function backUp({ walden }: EncryptionScene, server: TestServer, load: Load): Promise<Figures> {
  await setArchiveCommand(server, (await walden.commandSettings()).archiveCommand);
  try {
    settleDisk(server.dataDirectory);
    return await byWalden(walden, load, 'backup', 'main', '--workers=2', `--compression-level=${LEVEL}`);
  } finally {
    await setArchiveCommand(server, '/bin/true');
  }
}

async function restore({ walden, repository }: EncryptionScene, load: Load): Promise<Figures> {
  const directory = newDirectory('restored');
  try {
    settleDisk(repository);
    return await byWalden(walden, load, 'restore', 'main', `--to=${join(directory, 'data')}`);
  } finally {
    removeDirectory(directory);
  }
}

function byWalden(walden: WaldenHarness, load: Load, ...words: readonly string[]): Promise<Figures> {
  const command = `bin/walden ${words.slice(0, 2).join(' ')}`;
  return measured(
    [join(programDirectory, 'walden'), ...words],
    load,
    (said, pid) => (pid === walden.pid || said.includes(command) ? 'own' : undefined),
    { ...process.env, WALDEN_CONFIG: walden.configFile },
  );
}

function compare(what: string, results: ReadonlyMap<string, Figures>, figure: string): void {
  printFigures(what, results);
  const value = ratio(results, 'encrypted', 'plain', figure);
  printBars([{ what: `${what}, encrypted over plain`, value, least: LEAST }]);
}
