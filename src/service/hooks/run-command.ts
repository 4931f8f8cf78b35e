import { spawn } from 'node:child_process';
import type { CommandTarget } from '../../config/config.ts';
import { WaldenError } from '../../errors.ts';
import { redactPasswords } from '../../platform/logger.ts';
import type { HookMessage } from './hook-message.ts';

const KEPT_BYTES = 2048;
/** Of what a failed command has said. */
const SHOWN_LETTERS = 200;

/**
 * Runs the program with the event on its standard input, without a shell. It has succeeded when it ends with status 0; the
 * signal kills it, and what it has started. @throws HOOK_FAILED, with the last line that it wrote to stderr
 */
export async function runCommand(
  { program, words }: CommandTarget,
  { body, variables }: HookMessage,
  signal: AbortSignal,
): Promise<void> {
  const { PATH, HOME, LANG } = process.env;
  const child = spawn(program, words, {
    // Of the service's own environment nothing more than programs need to run: it may hold secrets of stores.
    env: { PATH, HOME, LANG, ...variables },
    cwd: '/',
    stdio: ['pipe', 'ignore', 'pipe'],
    detached: true,
  });
  const kill = (): void => {
    try {
      // The whole group.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  };
  signal.addEventListener('abort', kill);
  // One that does not read its input is none the worse for it.
  child.stdin.on('error', () => undefined);
  child.stdin.end(body);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = `${said}${text}`.slice(-KEPT_BYTES);
  });
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (fact: string): void => {
        const last = redactPasswords(said.trim().split('\n').at(-1) ?? '').slice(0, SHOWN_LETTERS);
        reject(new WaldenError('HOOK_FAILED', `${program} ${fact}${last === '' ? '' : `: ${last}`}`));
      };
      child.once('error', (error) => {
        fail(`cannot be run (${error.message})`);
      });
      child.once('close', (status, ended) => {
        if (status === 0) resolve();
        else if (signal.aborted) fail('was killed: it took too long, or the service stops');
        else fail(status === null ? `was ended by ${ended ?? 'a signal'}` : `ended with status ${status}`);
      });
      if (signal.aborted) kill();
    });
  } finally {
    signal.removeEventListener('abort', kill);
  }
}
