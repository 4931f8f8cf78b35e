import { toWaldenError } from '../errors.ts';
import { Cli } from './cli.ts';
import { runProgram } from './program.ts';

/** The program. The only reader of arguments, environment and signals; sets the exit status. */
export async function main(): Promise<void> {
  const cli = new Cli({
    arguments: process.argv.slice(2),
    environment: process.env,
    workingDirectory: process.cwd(),
    get stdin() {
      // Only whoever asks opens it.
      return process.stdin;
    },
    stdout: process.stdout,
    stderr: process.stderr,
    onSignal(listener) {
      process.on('SIGINT', listener);
      process.on('SIGTERM', listener);
    },
    leave(status) {
      process.exit(status);
    },
  });
  // What nobody caught would end as 1, which restore_command must never mean by accident.
  process.on('uncaughtException', (error) => {
    cli.fail(toWaldenError(error));
    process.exit(cli.exitStatus);
  });
  // `walden list | head` closes the pipe: no reason for a stack trace.
  process.stdout.on('error', () => process.exit(cli.exitStatus));
  try {
    await runProgram(cli);
  } catch (error) {
    cli.fail(toWaldenError(error));
  }
  process.exitCode = cli.exitStatus;
}
