import fc from 'fast-check';
import { isWaldenError } from '../../src/errors.ts';
import { watchForHangs } from './hang-watch.ts';

/**
 * How the tests of test/fuzz run: whatever comes from outside gives a valid result or an error of the table, never
 * INTERNAL, never another exception, never a hang, never memory without bounds.
 *
 * WALDEN_FUZZ_SEED repeats what a failure printed, WALDEN_FUZZ_RUNS says how many times the usual number of runs is done.
 */
const SEED = numberFrom('WALDEN_FUZZ_SEED') ?? Math.floor(Math.random() * 0x7fff_ffff);
const TIMES = numberFrom('WALDEN_FUZZ_RUNS') ?? 1;

/** Enough for the slowest run on a machine that is busy with other things. */
const HANG_MS = 60_000;
/** Much more than any input here needs, much less than the lengths that mutations write into them. */
const MEMORY_BYTES = 384 * 1024 * 1024;

/** Vitest's deadline for a test that calls `fuzz`. */
export const FUZZ_TIMEOUT_MS = 300_000 * TIMES;

/**
 * Feeds `input` to `attempt`, `runs` times. Each run must end, in bounded memory, with a result or an error of the table;
 * what `attempt` itself expects of the result comes on top.
 */
export async function fuzz<T>(input: fc.Arbitrary<T>, runs: number, attempt: (input: T) => unknown): Promise<void> {
  const again = `WALDEN_FUZZ_SEED=${SEED}${TIMES === 1 ? '' : ` WALDEN_FUZZ_RUNS=${TIMES}`}`;
  const watch = watchForHangs(HANG_MS, `a run does not end: repeat it with ${again}`);
  let failed = false;
  const property = fc.asyncProperty(input, async (value) => {
    watch.alive();
    try {
      await expectAnswerInMemory(() => attempt(value));
    } catch (error) {
      // At once: to find a smaller input that fails may take longer than the test has.
      if (!failed) process.stderr.write(`a run failed: repeat it with ${again}\n`);
      failed = true;
      throw error;
    }
  });
  try {
    await fc.assert(property, { seed: SEED, numRuns: runs * TIMES });
  } catch (error) {
    // The input may be a megabyte of brackets.
    const told = (error instanceof Error ? error.message : String(error)).slice(0, 4000);
    throw new Error(`${told}\n\nRepeat it with ${again}`, { cause: cause(error) });
  } finally {
    await watch.stop();
  }
}

async function expectAnswerInMemory(attempt: () => unknown): Promise<void> {
  const before = memory();
  await expectAnswer(attempt);
  const grown = Math.max(...memory().map((bytes, index) => bytes - (before[index] ?? 0)));
  if (grown > MEMORY_BYTES) throw new Error(`it took ${Math.ceil(grown / 1024 / 1024)} MiB`);
}

/** What a run threw, without what fast-check says of it. */
function cause(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}

/** @throws what is no error of the table, and INTERNAL, with the stack of its cause */
export async function expectAnswer(attempt: () => unknown): Promise<void> {
  try {
    await attempt();
  } catch (error) {
    if (!isWaldenError(error)) throw error;
    if (error.code === 'INTERNAL') throw new Error(`INTERNAL: ${error.message}`, { cause: error.cause ?? error });
  }
}

/** What is allocated, touched or not, and the most that was ever touched. */
function memory(): readonly number[] {
  return [process.memoryUsage().arrayBuffers, process.resourceUsage().maxRSS * 1024];
}

function numberFrom(variable: string): number | undefined {
  const text = process.env[variable] ?? '';
  if (text === '') return undefined;
  if (!/^-?\d+$/.test(text)) throw new Error(`${variable} is not a number: ${text}`);
  return Number(text);
}
