import { Command, InvalidArgumentError, Option } from 'commander';
import type { PostgresVersion } from '../support/postgres-binaries.ts';
import { runSoak, type SoakReport } from './soak.ts';

/** `npm run soak -- --minutes 10 --seed 1 --version 17`: status 0 only if every check held. */

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It is not a whole number.');
  return Number(text);
}

const program = new Command('soak')
  .description('Kills whoever takes part in archiving, backup and restore, at random moments, and looks what is left.')
  .option('--minutes <number>', 'how long to kill; the checks come after that', wholeNumber, 10)
  .option('--seed <number>', 'repeats the choices of another run', wholeNumber, Math.floor(Math.random() * 2 ** 31))
  .addOption(new Option('--version <number>', 'of PostgreSQL').choices(['15', '17']).default('17'))
  .parse();
const { minutes, seed, version } = program.opts<{ minutes: number; seed: number; version: string }>();

function print(report: SoakReport): void {
  const kills = Object.entries(report.kills).map(([victim, count]) => `${count} ${victim}`);
  const total = Object.values(report.kills).reduce((sum, count) => sum + count, 0);
  console.log(`seed ${seed}, PostgreSQL ${version}, ${minutes} minutes`);
  console.log(`${total} kills: ${kills.join(', ')}`);
  console.log(
    `${report.acknowledged} transactions acknowledged, ${report.segments} segments archived, ` +
      `${report.backups} backups reported, ${report.copies} copies restored, started and compared`,
  );
  if (report.logs !== '') console.log(report.logs);
  for (const problem of report.problems) console.log(`PROBLEM: ${problem}`);
  console.log(report.problems.length === 0 ? 'everything held' : `${report.problems.length} problems; seed ${seed}`);
}

console.log(`seed ${seed}, PostgreSQL ${version}`);
let end: number | undefined;
const report = await runSoak({
  version: Number(version) as PostgresVersion,
  seed,
  // From the first kill: what it takes to come there is not counted.
  goOn: () => Date.now() < (end ??= Date.now() + minutes * 60_000),
  say: (line) => {
    console.log(line);
  },
});
print(report);
process.exitCode = report.problems.length === 0 ? 0 : 1;
