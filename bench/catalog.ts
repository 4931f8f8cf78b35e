import { join } from 'node:path';
import { ApiClient } from '../src/cli/api-client.ts';
import { newDirectory, removeDirectory } from '../test/support/sandbox.ts';
import type { WaldenHarness } from '../test/support/walden.ts';
import { ArchiveShape, type ArchiveSize } from './archive-shape.ts';
import { questionsAbout, searchedXids } from './archive-questions.ts';
import { createArchiveWalden } from './archive-walden.ts';
import { benchMemoryOfAnswers, benchMemoryOfRebuilds } from './catalog-memory.ts';
import { fillArchive } from './fill-archive.ts';
import { format, inTurn, median, percentile, printBars, printFigures, type Figures, type Rounds } from './report.ts';
import { uploadSegments } from './upload-segments.ts';
import { ServiceTimesLog } from './service-times-log.ts';
import { syncMillis } from './sync-millis.ts';

const SIZE: ArchiveSize = { segments: 1_000_000, backups: 2_000 };
const CALLS = 7;
/** In each round, so that the first one leaves a service that has run a while. */
const RECORDED = 200;
const ANSWER_MS = 300;
const RECORDING_MS = 1;

/** What the service answers about a large archive, how fast, and in how much memory. */
export async function benchCatalog(rounds: Rounds): Promise<void> {
  console.log(
    `\ncatalog: ${SIZE.segments.toLocaleString('en')} segments in five timelines with 40 gaps, ` +
      `${SIZE.backups.toLocaleString('en')} backups`,
  );
  const shape = new ArchiveShape(SIZE);
  const times = new ServiceTimesLog(newDirectory('times'));
  const walden = createArchiveWalden(times.words);
  try {
    const millis = await fillArchive(walden, shape, searchedXids(shape));
    console.log(`filled at ${format(millis)} ms a segment, not synced`);
    await walden.start();
    await benchAnswers(walden, shape, times, rounds);
    await walden.stop();
    await benchMemoryOfAnswers({ walden, shape }, rounds);
    await benchMemoryOfRebuilds(rounds);
  } finally {
    await walden.kill();
    removeDirectory(walden.directory);
  }
}

async function benchAnswers(
  walden: WaldenHarness,
  shape: ArchiveShape,
  times: ServiceTimesLog,
  rounds: Rounds,
): Promise<void> {
  const client = new ApiClient(join(walden.directory, 'walden.sock'));
  const questions = questionsAbout(shape).map(({ name, route, ask }) => ({
    name,
    run: async (): Promise<Figures> => {
      const calls: number[] = [];
      times.forget();
      let bytes = 0;
      for (let call = 0; call < CALLS; call += 1) {
        const begin = performance.now();
        const answer = await ask(client);
        calls.push(performance.now() - begin);
        bytes = Buffer.byteLength(JSON.stringify(answer));
      }
      return {
        'ms over HTTP': median(calls),
        'ms in the service': median(times.of(route)),
        'worst ms': Math.max(...calls),
        'kB of answer': bytes / 1000,
      };
    },
  }));
  const answers = await inTurn(questions, rounds);
  printFigures('a question', answers);
  let next = shape.positions;
  const recording = async (): Promise<Figures> => {
    times.forget();
    await uploadSegments(client, shape, { from: next, count: RECORDED });
    next += RECORDED;
    const took = times.of('recordWalFile');
    if (took.length !== RECORDED) throw new Error(`${RECORDED} segments were sent and ${took.length} recorded`);
    return { 'ms p50': median(took), 'ms p95': percentile(took, 95), 'ms of the disk': await syncMillis() };
  };
  const recorded = await inTurn([{ name: 'record a segment', run: recording }], rounds);
  printFigures('a change', recorded);
  printBars([
    ...[...answers].map(([name, figures]) => ({
      what: `${name}, ms over HTTP`,
      value: figures['ms over HTTP'] ?? Number.NaN,
      most: ANSWER_MS,
    })),
    {
      what: 'one segment recorded and durable, ms',
      value: recorded.get('record a segment')?.['ms p50'] ?? Number.NaN,
      most: RECORDING_MS,
    },
  ]);
}
