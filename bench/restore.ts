import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { newDirectory, removeDirectory } from '../test/support/sandbox.ts';
import { createWalden, programDirectory, type WaldenHarness } from '../test/support/walden.ts';
import { type BenchCluster, withEachCluster } from './cluster-source.ts';
import { type Frozen, freeze, limitOfRestore } from './limit.ts';
import { type Load, measured } from './measured.ts';
import { PgBackRest, pgBackRestVersion } from './pgbackrest.ts';
import { type Contender, type Figures, figure, inTurn, printBars, printFigures, ratio, type Rounds } from './report.ts';
import { settleDisk } from './tree.ts';
import { setArchiveCommand } from './wal-source.ts';

const LEVEL = 3;

/** Restores of two clusters: few big files, and many small ones. */
export async function benchRestore(rounds: Rounds): Promise<void> {
  await withEachCluster(rounds, (cluster) => benchRestoreOf(cluster, rounds));
}

async function benchRestoreOf(cluster: BenchCluster, rounds: Rounds): Promise<void> {
  const load: Load = { bytes: cluster.bytes, files: cluster.files.length };
  const walden = await backedUpByWalden(cluster);
  const peer = pgBackRestVersion() === undefined ? undefined : await backedUpByPgBackRest(cluster);
  const frozen = freeze(cluster.files, LEVEL);
  const contenders: Contender[] = [
    { name: 'Walden', run: () => inNewDirectory(walden.repositoryPath(), (to) => byWalden(walden, to, load)) },
    { name: 'limit', run: () => inNewDirectory(frozen.directory, (to) => byLimit(frozen, to, load)) },
    { name: 'cp and sync', run: () => inNewDirectory(cluster.server.dataDirectory, (to) => byCopy(cluster, to, load)) },
  ];
  if (peer === undefined) console.log('pgBackRest is not installed: skipped');
  else {
    const run = (): Promise<Figures> => inNewDirectory(peer.repository, (to) => byPgBackRest(peer, to, load));
    contenders.splice(1, 0, { name: 'pgBackRest', run });
  }
  console.log(
    `\nrestore: ${cluster.name}, ${load.files} files, ${(load.bytes / 1e9).toFixed(2)} GB, from a backup at zstd ${LEVEL}`,
  );
  try {
    const results = await inTurn(contenders, rounds);
    printFigures('restore', results);
    printBars([
      { what: 'speed over pgBackRest', value: ratio(results, 'Walden', 'pgBackRest', 'MB/s'), least: 1 },
      { what: 'CPU over pgBackRest', value: ratio(results, 'Walden', 'pgBackRest', 'CPU s'), most: 1.1 },
      { what: 'speed over the limit', value: ratio(results, 'Walden', 'limit', 'MB/s'), least: 0.8 },
      { what: 'peak MB', value: figure(results, 'Walden', 'peak MB'), most: 350 },
    ]);
  } finally {
    await walden.stop();
    removeDirectory(walden.directory);
    removeDirectory(frozen.directory);
    peer?.dispose();
  }
}

async function backedUpByWalden({ server }: BenchCluster): Promise<WaldenHarness> {
  const walden = createWalden({ clusters: { main: server } });
  await walden.start();
  await setArchiveCommand(server, (await walden.commandSettings()).archiveCommand);
  await walden.run('backup', 'main', `--compression-level=${LEVEL}`);
  await setArchiveCommand(server, '/bin/true');
  return walden;
}

async function backedUpByPgBackRest({ server }: BenchCluster): Promise<PgBackRest> {
  const peer = new PgBackRest({ ...server, level: LEVEL, async: true });
  await peer.run('stanza-create');
  await setArchiveCommand(server, peer.archiveCommand);
  await peer.run('backup', '--type=full');
  await setArchiveCommand(server, '/bin/true');
  return peer;
}

async function inNewDirectory(source: string, work: (to: string) => Promise<Figures>): Promise<Figures> {
  const directory = newDirectory('restored');
  try {
    settleDisk(source);
    return await work(join(directory, 'data'));
  } finally {
    removeDirectory(directory);
  }
}

function byWalden(walden: WaldenHarness, to: string, load: Load): Promise<Figures> {
  return measured(
    [join(programDirectory, 'walden'), 'restore', 'main', `--to=${to}`],
    load,
    (words, pid) => (pid === walden.pid || words.includes('bin/walden restore main') ? 'own' : undefined),
    { ...process.env, WALDEN_CONFIG: walden.configFile },
  );
}

function byPgBackRest(peer: PgBackRest, to: string, load: Load): Promise<Figures> {
  mkdirSync(to, { mode: 0o700 });
  return measured(peer.words('restore', `--pg1-path=${to}`), load, (words) =>
    /^\S*pgbackrest /.test(words) ? 'own' : undefined,
  );
}

function byLimit(frozen: Frozen, to: string, load: Load): Promise<Figures> {
  return limitOfRestore(frozen, to, load);
}

function byCopy({ server }: BenchCluster, to: string, load: Load): Promise<Figures> {
  const script = `cp -r "${server.dataDirectory}" "${to}" && sync`;
  return measured(['/bin/sh', '-c', script], load, (words) => (/^(cp -r|sync)/.test(words) ? 'own' : undefined));
}
