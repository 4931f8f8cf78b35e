import { join } from 'node:path';
import { ApiClient } from '../src/cli/api-client.ts';
import { NEAR } from '../test/support/catalog-rows.ts';
import { removeDirectory } from '../test/support/sandbox.ts';
import { programDirectory, runProgram, type WaldenHarness } from '../test/support/walden.ts';
import { type Question, questionsAbout, searchedXids } from './archive-questions.ts';
import { ArchiveShape, type ArchiveSize } from './archive-shape.ts';
import { createArchiveWalden } from './archive-walden.ts';
import { fillArchive } from './fill-archive.ts';
import { fillObjects } from './fill-objects.ts';
import { peakResidentBytes, UsageMeter } from './processes.ts';
import { type Contender, type Figures, inTurn, printBars, printFigures, type Rounds } from './report.ts';

const ASKED = 10;
const REBUILD_DEADLINE_MS = 3_600_000;
const ALL_MB = 350;
/** What the peak of a service may differ by for no reason: the collector's heap breathes. */
const BREATH_MB = 25;
const SMALL: ArchiveSize = { segments: 10_000, backups: 20 };
const MANY_BACKUPS: ArchiveSize = { ...SMALL, backups: 2_000 };
const OBJECTS: readonly ArchiveSize[] = [
  { segments: 10_000, backups: 20 },
  { segments: 100_000, backups: 2_000 },
];

/** Whether the memory of Walden's processes grows with what it keeps. `large`: a filled catalog, its service not running. */
export async function benchCatalogMemory(
  large: { readonly walden: WaldenHarness; readonly shape: ArchiveShape },
  { only }: Rounds,
): Promise<void> {
  const contenders: Contender[] = [];
  const made: WaldenHarness[] = [];
  try {
    for (const size of [SMALL, MANY_BACKUPS]) {
      const walden = createArchiveWalden();
      made.push(walden);
      const shape = new ArchiveShape(size);
      await fillArchive(walden, shape, searchedXids(shape));
      contenders.push({ name: nameOf('answers', size), run: () => memoryOfAnswers(walden, questionsAbout(shape)) });
    }
    const questions = questionsAbout(large.shape);
    contenders.push({ name: nameOf('answers', large.shape.size), run: () => memoryOfAnswers(large.walden, questions) });
    for (const size of OBJECTS) {
      const walden = createArchiveWalden();
      made.push(walden);
      fillObjects(walden.repositoryPath(NEAR), new ArchiveShape(size));
      contenders.push({ name: nameOf('rebuilds', size), run: () => memoryOfRebuild(walden) });
    }
    // A peak is no matter of rounds.
    report(await inTurn(contenders, { rounds: 1, only }));
  } finally {
    for (const { directory } of made) removeDirectory(directory);
  }
}

function nameOf(what: string, { segments, backups }: ArchiveSize): string {
  return `${what}, ${segments.toLocaleString('en')} segments, ${backups.toLocaleString('en')} backups`;
}

function report(results: ReadonlyMap<string, Figures>): void {
  printFigures('memory', results);
  const service = (name: string): number => results.get(name)?.['peak MB of the service'] ?? Number.NaN;
  const growth = (what: string, from: string, to: string): void => {
    printBars([{ what: `growth of the peak ${what}, MB`, value: service(to) - service(from), most: BREATH_MB }]);
  };
  const [small, many, large, fewObjects, manyObjects] = [...results.keys()] as [string, string, string, string, string];
  growth('with 100 times the backups', small, many);
  growth('with 100 times the segments', many, large);
  growth('of a rebuild with 10 times the objects', fewObjects, manyObjects);
  printBars(
    [...results].map(([name, figures]) => ({
      what: `${name}: peak MB of all processes`,
      value: figures['peak MB of all processes'] ?? Number.NaN,
      most: ALL_MB,
    })),
  );
}

/** Every question many times from a client, and once by the operator's command. */
async function memoryOfAnswers(walden: WaldenHarness, questions: readonly Question[]): Promise<Figures> {
  return await memoryOf(walden, async () => {
    const client = new ApiClient(join(walden.directory, 'walden.sock'));
    for (let time = 0; time < ASKED; time += 1) for (const { ask } of questions) await ask(client);
    for (const { command } of questions) await walden.run(...command);
  });
}

/** Twice: into an empty catalog, and once more beside a full one, with which the new one is compared. */
async function memoryOfRebuild(walden: WaldenHarness): Promise<Figures> {
  return await memoryOf(walden, async () => {
    for (let time = 0; time < 2; time += 1) {
      const env = { ...process.env, WALDEN_CONFIG: walden.configFile };
      const options = { env, deadlineMs: REBUILD_DEADLINE_MS };
      const { status, stderr } = await runProgram(join(programDirectory, 'walden'), ['catalog', 'rebuild'], options);
      if (status !== 0) throw new Error(`walden catalog rebuild ended with ${status}: ${stderr}`);
    }
  });
}

async function memoryOf(walden: WaldenHarness, work: () => Promise<void>): Promise<Figures> {
  await walden.start();
  const { pid } = walden;
  if (pid === undefined) throw new Error('the service does not run');
  const atRest = peakResidentBytes(pid);
  const meter = new UsageMeter((words, other) => (other === pid || isCommand(words) ? 'own' : undefined));
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

function isCommand(words: string): boolean {
  return /^\S*node \S*bin\/walden /.test(words);
}
