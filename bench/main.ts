import { Command } from 'commander';
import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { pgBackRestVersion } from './pgbackrest.ts';
import type { Rounds } from './report.ts';

const PARTS = {
  wal: async (rounds: Rounds) => (await import('./wal.ts')).benchWal(rounds),
  fetch: async (rounds: Rounds) => (await import('./fetch.ts')).benchFetch(rounds),
  backup: async (rounds: Rounds) => (await import('./backup.ts')).benchBackup(rounds),
  restore: async (rounds: Rounds) => (await import('./restore.ts')).benchRestore(rounds),
  encryption: async (rounds: Rounds) => (await import('./encryption.ts')).benchEncryption(rounds),
  catalog: async (rounds: Rounds) => (await import('./catalog.ts')).benchCatalog(rounds),
  stores: async (rounds: Rounds) => (await import('./stores.ts')).benchStores(rounds),
  receiver: async (rounds: Rounds) => (await import('./receiver.ts')).benchReceiver(rounds),
  stream: async (rounds: Rounds) => (await import('./stream.ts')).benchStream(rounds),
  startup: async (rounds: Rounds) => (await import('./startup.ts')).benchStartup(rounds),
};
type Part = keyof typeof PARTS;

const program = new Command('bench')
  .description('Measures Walden beside its peers, in turn, on clusters that it makes.')
  .argument('[parts...]', `any of ${Object.keys(PARTS).join(', ')}; all of them when none is named`)
  .option('--rounds <number>', 'rounds in turn', Number, 3)
  .option('--only <text>', 'only contenders whose name matches this regular expression', '')
  .option(
    '--clusters <text>',
    'of the clusters to back up and restore, and of the stores, only those whose name matches',
    '',
  )
  .option('--receivers <directory>', 'where synchronous receivers write, on another disk than the cluster')
  .parse();
const { rounds, only, clusters, receivers } = program.opts<{
  rounds: number;
  only: string;
  clusters: string;
  receivers?: string;
}>();
const parts = (program.args.length === 0 ? Object.keys(PARTS) : program.args) as Part[];
for (const part of parts) if (!(part in PARTS)) program.error(`there is no part ${part}`);

const commit = execFileSync('git', ['-c', 'safe.directory=*', 'rev-parse', '--short', 'HEAD'], {
  encoding: 'utf8',
}).trim();
console.log(
  `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores, ${(totalmem() / 1024 ** 3).toFixed(0)} GiB; ` +
    `Node ${process.versions.node}; ${pgBackRestVersion() ?? 'no pgBackRest'}; Walden at ${commit}; medians of ${rounds} rounds`,
);
for (const part of parts) {
  await PARTS[part]({ rounds, only: new RegExp(only), clusters: new RegExp(clusters), receivers });
}
