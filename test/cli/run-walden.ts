import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

export const WALDEN = join(process.cwd(), 'bin/walden');

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** Starts the real program; `outcome` settles when it has ended. */
export function startWalden(
  words: readonly string[],
  { cwd, environment = {} }: RunOptions = {},
): { readonly process: ChildProcess; readonly outcome: Promise<Outcome> } {
  const child = spawn(process.execPath, [WALDEN, ...words], {
    cwd,
    // Whoever runs the tests may have a configuration of their own.
    env: { ...process.env, WALDEN_CONFIG: '', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
  });
  const outcome = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]).then(
    ([stdout, stderr, [status]]) => ({ status: status as number | null, stdout, stderr }),
  );
  return { process: child, outcome };
}

export async function runWalden(words: readonly string[], options?: RunOptions): Promise<Outcome> {
  return await startWalden(words, options).outcome;
}
