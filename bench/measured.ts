import { runProgram } from '../test/support/walden.ts';
import { type Account, UsageMeter } from './processes.ts';
import type { Figures } from './report.ts';

const DEADLINE_MS = 1_800_000;

/** What was moved, to tell speeds by. */
export interface Load {
  readonly bytes: number;
  readonly files: number;
}

/** A program from its start to its end, with everything that ran for it. @throws Error unless its status is 0 */
export async function measured(
  words: readonly string[],
  load: Load,
  accountOf: (words: string, pid: number) => Account,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Figures> {
  const [program = '', ...rest] = words;
  const meter = new UsageMeter(accountOf);
  const begin = performance.now();
  const { status, stdout, stderr } = await runProgram(program, rest, { env, deadlineMs: DEADLINE_MS });
  const seconds = (performance.now() - begin) / 1000;
  const { cpuSeconds, peakBytes } = meter.stop();
  if (status !== 0) throw new Error(`${words.join(' ')}: status ${status}\n${stdout}${stderr}`);
  return figuresOf(seconds, load, { 'CPU s': cpuSeconds, 'peak MB': peakBytes / 1024 ** 2 });
}

export function figuresOf(seconds: number, { bytes, files }: Load, more: Figures): Figures {
  return { s: seconds, 'MB/s': bytes / seconds / 1e6, 'files/s': files / seconds, ...more };
}
