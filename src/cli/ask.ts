import { createInterface } from 'node:readline/promises';
import { WaldenError } from '../errors.ts';
import type { Cli } from './cli.ts';

/** Asks the operator; anything but yes is no. `isAnswered`: by `--yes`. @throws USAGE where nobody can be asked */
export async function confirm(
  cli: Cli,
  question: string,
  { isAnswered }: { readonly isAnswered: boolean },
): Promise<boolean> {
  if (isAnswered) return true;
  const { stdin, stderr } = cli.world;
  if (stdin.isTTY !== true) {
    throw new WaldenError('USAGE', `nobody can be asked here: ${question}`, {
      hint: 'look at it with --dry-run, and answer beforehand with --yes',
    });
  }
  const lines = createInterface({ input: stdin, output: stderr });
  try {
    const answer = await lines.question(`${question} [y/N] `, { signal: cli.interruption() });
    return /^\s*y(es)?\s*$/i.test(answer);
  } catch (error) {
    cli.interruption().throwIfAborted();
    throw error;
  } finally {
    lines.close();
  }
}
