import { join } from 'node:path';
import { installedTool } from '../test/support/postgres-binaries.ts';
import { newDirectory, removeDirectory } from '../test/support/sandbox.ts';
import { createWalden, programDirectory } from '../test/support/walden.ts';
import { type BenchCluster, withEachCluster } from './cluster-source.ts';
import { limitOfBackup } from './limit.ts';
import { measured } from './measured.ts';
import { PgBackRest, pgBackRestVersion } from './pgbackrest.ts';
import {
  type Bar,
  type Contender,
  type Figures,
  figure,
  inTurn,
  printBars,
  printFigures,
  ratio,
  type Rounds,
} from './report.ts';
import { bytesBelow, settleDisk } from './tree.ts';
import { setArchiveCommand } from './wal-source.ts';

const WORKERS = 2;
const LEVELS = [1, 3];

/** Base backups of two clusters: few big files, and many small ones. */
export async function benchBackup(rounds: Rounds): Promise<void> {
  await withEachCluster(rounds, (cluster) => benchBackupOf(cluster, rounds));
}

async function benchBackupOf(cluster: BenchCluster, rounds: Rounds): Promise<void> {
  const peers = pgBackRestVersion() === undefined ? [] : LEVELS;
  const contenders: Contender[] = [
    ...LEVELS.map((level) => ({ name: `Walden, zstd ${level}`, run: () => byWalden(cluster, level) })),
    ...peers.map((level) => ({ name: `pgBackRest, zstd ${level}`, run: () => byPgBackRest(cluster, level) })),
    ...LEVELS.map((level) => ({ name: `limit, zstd ${level}`, run: () => byLimit(cluster, level) })),
  ];
  if (peers.length === 0) console.log('pgBackRest is not installed: skipped');
  const tool = installedTool(cluster.server.version, 'pg_basebackup');
  if (tool === undefined) console.log('pg_basebackup is not installed: skipped');
  else contenders.push({ name: 'pg_basebackup, zstd 1', run: () => byPgBaseBackup(cluster, tool) });
  console.log(
    `\nbackup: ${cluster.name}, ${cluster.files.length} files, ${(cluster.bytes / 1e9).toFixed(2)} GB, with page checksums`,
  );
  const results = await inTurn(contenders, rounds);
  printFigures('backup', results);
  printBars(LEVELS.flatMap((level) => barsOf(results, level)));
}

function barsOf(results: ReadonlyMap<string, Figures>, level: number): readonly Bar[] {
  const [own, peer, limit] = [`Walden, zstd ${level}`, `pgBackRest, zstd ${level}`, `limit, zstd ${level}`];
  return [
    { what: `speed over pgBackRest, zstd ${level}`, value: ratio(results, own, peer, 'MB/s'), least: 1.35 },
    { what: `CPU over pgBackRest, zstd ${level}`, value: ratio(results, own, peer, 'CPU s'), most: 0.9 },
    { what: `stored size over pgBackRest, zstd ${level}`, value: ratio(results, own, peer, 'stored MB'), most: 1.05 },
    { what: `speed over the limit, zstd ${level}`, value: ratio(results, own, limit, 'MB/s'), least: 0.8 },
    { what: `peak MB, zstd ${level}`, value: figure(results, own, 'peak MB'), most: 350 },
  ];
}

function byLimit(cluster: BenchCluster, level: number): Promise<Figures> {
  settleDisk(cluster.server.dataDirectory);
  return limitOfBackup(cluster, level);
}

async function byWalden(cluster: BenchCluster, level: number): Promise<Figures> {
  const { server } = cluster;
  const walden = createWalden({ clusters: { main: server } });
  await walden.start();
  try {
    await setArchiveCommand(server, (await walden.commandSettings()).archiveCommand);
    settleDisk(server.dataDirectory);
    const figures = await measured(
      [join(programDirectory, 'walden'), 'backup', 'main', `--workers=${WORKERS}`, `--compression-level=${level}`],
      { bytes: cluster.bytes, files: cluster.files.length },
      (words, pid) => (pid === walden.pid || words.includes('bin/walden backup main') ? 'own' : archiver(words)),
      { ...process.env, WALDEN_CONFIG: walden.configFile },
    );
    return { ...figures, 'stored MB': bytesBelow(join(walden.repositoryPath(), 'main', 'base')) / 1e6 };
  } finally {
    await setArchiveCommand(server, '/bin/true');
    await walden.stop();
    removeDirectory(walden.directory);
  }
}

async function byPgBackRest(cluster: BenchCluster, level: number): Promise<Figures> {
  const { server } = cluster;
  const peer = new PgBackRest({ ...server, level, async: true });
  try {
    await peer.run('stanza-create');
    await setArchiveCommand(server, peer.archiveCommand);
    settleDisk(server.dataDirectory);
    const figures = await measured(
      peer.words('backup', '--type=full'),
      { bytes: cluster.bytes, files: cluster.files.length },
      (words) => (/^\S*pgbackrest /.test(words) ? 'own' : archiver(words)),
    );
    return { ...figures, 'stored MB': bytesBelow(join(peer.repository, 'backup')) / 1e6 };
  } finally {
    await setArchiveCommand(server, '/bin/true');
    peer.dispose();
  }
}

/** One process, and the server's, which reads for it. */
async function byPgBaseBackup(cluster: BenchCluster, tool: string): Promise<Figures> {
  const directory = newDirectory('basebackup');
  try {
    settleDisk(cluster.server.dataDirectory);
    const figures = await measured(
      [
        tool,
        `--dbname=${cluster.server.conninfo}`,
        `--pgdata=${directory}/it`,
        '--format=tar',
        '--wal-method=none',
        '--checkpoint=fast',
        '--compress=client-zstd:1',
      ],
      { bytes: cluster.bytes, files: cluster.files.length },
      (words) => (/pg_basebackup|^postgres: walsender/.test(words) ? 'own' : undefined),
    );
    return { ...figures, 'stored MB': bytesBelow(directory) / 1e6 };
  } finally {
    removeDirectory(directory);
  }
}

function archiver(words: string): 'with-children' | undefined {
  return words.startsWith('postgres: archiver') ? 'with-children' : undefined;
}
