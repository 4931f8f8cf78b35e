import { join } from 'node:path';
import { ApiClient } from '../src/cli/api-client.ts';
import type { JobListDocument } from '../src/service/watch-api.ts';
import { NEAR } from '../test/support/catalog-rows.ts';
import { removeDirectory } from '../test/support/sandbox.ts';
import { until } from '../test/support/until.ts';
import { programDirectory, runProgram, type WaldenHarness } from '../test/support/walden.ts';
import { type Question, questionsAbout, searchedXids } from './archive-questions.ts';
import { ArchiveShape, type ArchiveSize } from './archive-shape.ts';
import { createArchiveWalden } from './archive-walden.ts';
import { fillArchive } from './fill-archive.ts';
import { fillObjects } from './fill-objects.ts';
import { peakResidentBytes, UsageMeter } from './processes.ts';
import { type Contender, type Figures, inTurn, printBars, printFigures, type Rounds } from './report.ts';

const ASKED = 5;
const REBUILD_DEADLINE_MS = 3_600_000;
const ALL_MB = 350;
/** What the peak of a service may differ by for no reason: the collector's heap breathes. */
const BREATH_MB = 25;
const SMALL: ArchiveSize = { segments: 10_000, backups: 200 };
const MANY_BACKUPS: ArchiveSize = { ...SMALL, backups: 2_000 };
const OBJECTS: readonly ArchiveSize[] = [
  { segments: 10_000, backups: 20 },
  { segments: 100_000, backups: 2_000 },
];

/** Whether the memory of a service that answers grows with what it keeps. `large`: a filled catalog, its service not running. */
export async function benchMemoryOfAnswers(
  large: { readonly walden: WaldenHarness; readonly shape: ArchiveShape },
  rounds: Rounds,
): Promise<void> {
  const archives = [large];
  try {
    for (const size of [MANY_BACKUPS, SMALL]) {
      const walden = createArchiveWalden();
      const shape = new ArchiveShape(size);
      archives.unshift({ walden, shape });
      await fillArchive(walden, shape, searchedXids(shape));
    }
    const contenders = archives.map(({ walden, shape }) => ({
      name: nameOf('answers', shape.size),
      run: () => memoryOfAnswers(walden, questionsAbout(shape)),
    }));
    await measure(contenders, rounds, ['with 10 times the backups', 'with 100 times the segments']);
  } finally {
    for (const { walden } of archives) if (walden !== large.walden) removeDirectory(walden.directory);
  }
}

/** Whether the memory of a rebuild grows with what the repository holds. */
export async function benchMemoryOfRebuilds(rounds: Rounds): Promise<void> {
  const archives = OBJECTS.map((size) => ({ walden: createArchiveWalden(), size }));
  try {
    for (const { walden, size } of archives) fillObjects(walden.repositoryPath(NEAR), new ArchiveShape(size));
    const contenders = archives.map(({ walden, size }) => ({
      name: nameOf('rebuilds', size),
      run: () => memoryOfRebuild(walden),
    }));
    await measure(contenders, rounds, ['of a rebuild with 10 times the objects']);
  } finally {
    for (const { walden } of archives) removeDirectory(walden.directory);
  }
}

function nameOf(what: string, { segments, backups }: ArchiveSize): string {
  return `${what}, ${segments.toLocaleString('en')} segments, ${backups.toLocaleString('en')} backups`;
}

/** Each growth is that from one contender to the next. */
async function measure(contenders: readonly Contender[], { only }: Rounds, growths: readonly string[]): Promise<void> {
  // A peak is no matter of rounds.
  const results = await inTurn(contenders, { rounds: 1, only });
  printFigures('memory', results);
  const peak = (at: number): number =>
    results.get(contenders[at]?.name ?? '')?.['peak MB of the service'] ?? Number.NaN;
  printBars([
    ...growths.map((growth, at) => ({
      what: `growth of the peak ${growth}, MB`,
      value: peak(at + 1) - peak(at),
      most: BREATH_MB,
    })),
    ...[...results].map(([name, figures]) => ({
      what: `${name}: peak MB of all processes`,
      value: figures['peak MB of all processes'] ?? Number.NaN,
      most: ALL_MB,
    })),
  ]);
}

/** Every question many times from a client, and once by the operator's command. */
async function memoryOfAnswers(walden: WaldenHarness, questions: readonly Question[]): Promise<Figures> {
  return await memoryOf(walden, async () => {
    const client = new ApiClient(join(walden.directory, 'walden.sock'));
    for (let time = 0; time < ASKED; time += 1) for (const { ask } of questions) await ask(client);
    for (const { command } of questions) await walden.run(...command);
  });
}

/** Twice: by the service, which finds its catalog empty, and once more beside the full one, with which the new one is compared. */
async function memoryOfRebuild(walden: WaldenHarness): Promise<Figures> {
  return await memoryOf(walden, async () => {
    await until(() => isRebuilt(walden), { what: 'the first rebuild', deadlineMs: REBUILD_DEADLINE_MS });
    const env = { ...process.env, WALDEN_CONFIG: walden.configFile };
    const options = { env, deadlineMs: REBUILD_DEADLINE_MS };
    const { status, stderr } = await runProgram(join(programDirectory, 'walden'), ['catalog', 'rebuild'], options);
    if (status !== 0) throw new Error(`walden catalog rebuild ended with ${status}: ${stderr}`);
  });
}

async function isRebuilt(walden: WaldenHarness): Promise<boolean> {
  const { jobs } = await new ApiClient(join(walden.directory, 'walden.sock')).get<JobListDocument>('/v1/jobs');
  const job = jobs.find(({ kind }) => kind === 'catalog-rebuild');
  if (job?.state === 'failed') throw new Error(`the first rebuild failed: ${job.error?.message ?? ''}`);
  return job?.state === 'done';
}

async function memoryOf(walden: WaldenHarness, work: () => Promise<void>): Promise<Figures> {
  await walden.start();
  const { pid } = walden;
  if (pid === undefined) throw new Error('the service does not run');
  const atRest = peakResidentBytes(pid);
  const program = join(programDirectory, 'walden');
  const meter = new UsageMeter((words, other) => (other === pid || words.includes(program) ? 'own' : undefined));
  const begin = performance.now();
  try {
    await work();
    return {
      s: (performance.now() - begin) / 1000,
      'MB at the start': atRest / 1024 ** 2,
      'peak MB of the service': peakResidentBytes(pid) / 1024 ** 2,
      'peak MB of all processes': meter.stop().peakBytes / 1024 ** 2,
    };
  } finally {
    meter.stop();
    await walden.stop();
  }
}
