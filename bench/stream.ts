import { join } from 'node:path';
import { installedTool } from '../test/support/postgres-binaries.ts';
import { newDirectory, removeDirectory } from '../test/support/sandbox.ts';
import { createWalden, programDirectory } from '../test/support/walden.ts';
import { type BenchCluster, withEachCluster } from './cluster-source.ts';
import { measured } from './measured.ts';
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
const LEVEL = 1;
const OWN = `Walden, zstd ${LEVEL}`;
const PEER = 'pg_basebackup, tar';

/** Base backups over the replication protocol, beside PostgreSQL's own client, which writes tars as they come. */
export async function benchStream(rounds: Rounds): Promise<void> {
  await withEachCluster(rounds, (cluster) => benchStreamOf(cluster, rounds));
}

async function benchStreamOf(cluster: BenchCluster, rounds: Rounds): Promise<void> {
  const contenders: Contender[] = [{ name: OWN, run: () => byWalden(cluster) }];
  const tool = installedTool(cluster.server.version, 'pg_basebackup');
  if (tool === undefined) console.log('pg_basebackup is not installed: skipped');
  else contenders.push({ name: PEER, run: () => byPgBaseBackup(cluster, tool) });
  console.log(
    `\nstream: ${cluster.name}, ${cluster.files.length} files, ${(cluster.bytes / 1e9).toFixed(2)} GB, with page checksums`,
  );
  const results = await inTurn(contenders, rounds);
  printFigures('base backups over the protocol', results);
  printBars(barsOf(results));
}

function barsOf(results: ReadonlyMap<string, Figures>): readonly Bar[] {
  return [
    { what: 'speed over pg_basebackup', value: ratio(results, OWN, PEER, 'MB/s'), least: 0.9 },
    { what: 'stored size over pg_basebackup', value: ratio(results, OWN, PEER, 'stored MB'), most: 0.5 },
    { what: 'peak MB', value: figure(results, OWN, 'peak MB'), most: 250 },
  ];
}

async function byWalden(cluster: BenchCluster): Promise<Figures> {
  const { server } = cluster;
  const walden = createWalden({ clusters: { main: server }, clusterSettings: ['backup_source = "stream"'] });
  await walden.start();
  try {
    await setArchiveCommand(server, (await walden.commandSettings()).archiveCommand);
    settleDisk(server.dataDirectory);
    const figures = await measured(
      [join(programDirectory, 'walden'), 'backup', 'main', `--workers=${WORKERS}`, `--compression-level=${LEVEL}`],
      { bytes: cluster.bytes, files: cluster.files.length },
      // What the client of an operator takes is none of the service's.
      (_words, pid) => (pid === walden.pid ? 'own' : undefined),
      { ...process.env, WALDEN_CONFIG: walden.configFile },
    );
    return { ...figures, 'stored MB': bytesBelow(join(walden.repositoryPath(), 'main', 'base')) / 1e6 };
  } finally {
    await setArchiveCommand(server, '/bin/true');
    await walden.stop();
    removeDirectory(walden.directory);
  }
}

/** It writes the manifest too, and syncs what it wrote, as Walden does. */
async function byPgBaseBackup(cluster: BenchCluster, tool: string): Promise<Figures> {
  const directory = newDirectory('basebackup');
  try {
    settleDisk(cluster.server.dataDirectory);
    const figures = await measured(
      [
        tool,
        `--dbname=${cluster.server.conninfo}`,
        `--pgdata=${directory}/it`,
        ...['--format=tar', '--wal-method=none', '--checkpoint=fast'],
      ],
      { bytes: cluster.bytes, files: cluster.files.length },
      (words) => (words.includes('pg_basebackup') ? 'own' : undefined),
    );
    return { ...figures, 'stored MB': bytesBelow(directory) / 1e6 };
  } finally {
    removeDirectory(directory);
  }
}
