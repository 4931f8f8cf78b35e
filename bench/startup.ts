import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { removeDirectory } from '../test/support/sandbox.ts';
import { programDirectory, type WaldenHarness } from '../test/support/walden.ts';
import { ArchiveShape } from './archive-shape.ts';
import { createArchiveWalden } from './archive-walden.ts';
import { fillArchive } from './fill-archive.ts';
import { cpuSecondsOfChildren } from './processes.ts';
import { type Figures, inTurn, median, printBars, printFigures, type Rounds } from './report.ts';

const STARTS = 9;
const OVER_NODE_MS = 150;

/** How long the command takes to start, beside Node's own start. */
export async function benchStartup(rounds: Rounds): Promise<void> {
  console.log(`\nstartup: ${STARTS} starts of each and of "node -e 0", in turn`);
  const walden = createArchiveWalden();
  try {
    await fillArchive(walden, new ArchiveShape({ segments: 1_000, backups: 20 }));
    await walden.start();
    const contenders = [['--help'], ['list', 'main']].map((words) => ({
      name: `walden ${words.join(' ')}`,
      run: () => Promise.resolve(startsOf(walden, words)),
    }));
    const results = await inTurn(contenders, rounds);
    printFigures('startup', results);
    printBars(
      [...results].map(([name, figures]) => ({
        what: `${name}: ms over Node's own start`,
        value: figures['ms over node'] ?? Number.NaN,
        most: OVER_NODE_MS,
      })),
    );
    await walden.stop();
  } finally {
    await walden.kill();
    removeDirectory(walden.directory);
  }
}

function startsOf(walden: WaldenHarness, words: readonly string[]): Figures {
  const program = join(programDirectory, 'walden');
  const env = { ...process.env, WALDEN_CONFIG: walden.configFile };
  const own: Start[] = [];
  const bare: Start[] = [];
  for (let time = 0; time < STARTS; time += 1) {
    bare.push(start(process.execPath, ['-e', '0'], env));
    own.push(start(program, words, env));
  }
  const middle = (starts: readonly Start[]): number => median(starts.map(({ millis }) => millis));
  const cpu = (starts: readonly Start[]): number => starts.reduce((sum, one) => sum + one.cpuMillis, 0) / STARTS;
  return {
    'ms over node': middle(own) - middle(bare),
    ms: middle(own),
    'node -e 0 ms': middle(bare),
    'CPU ms over node': cpu(own) - cpu(bare),
  };
}

interface Start {
  readonly millis: number;
  readonly cpuMillis: number;
}

function start(program: string, words: readonly string[], env: NodeJS.ProcessEnv): Start {
  const before = cpuSecondsOfChildren();
  const begin = performance.now();
  const { status, stderr } = spawnSync(program, words, { env });
  const millis = performance.now() - begin;
  if (status !== 0) throw new Error(`${program} ${words.join(' ')} ended with ${status}: ${stderr.toString()}`);
  return { millis, cpuMillis: (cpuSecondsOfChildren() - before) * 1000 };
}
