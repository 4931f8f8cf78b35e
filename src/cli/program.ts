import { Command, CommanderError } from 'commander';
import { WaldenError } from '../errors.ts';
import { WALDEN_VERSION } from '../version.ts';
import type { Cli } from './cli.ts';
import { addServiceOptions } from './connection.ts';
import { example } from './example.ts';
import { COMMANDS, type CommandEntry } from './commands.ts';

/** Parses the command line and runs the command. @throws USAGE and whatever the command throws */
export async function runProgram(cli: Cli): Promise<void> {
  const program = createProgram(cli);
  try {
    await program.parseAsync(helpFirst(cli.world.arguments), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return;
    throw usageError(error);
  }
}

function createProgram(cli: Cli): Command {
  const program = new Command('walden')
    .description('Backup and WAL archive server for PostgreSQL')
    .version(WALDEN_VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void cli.world.stdout.write(text),
      writeErr: (text) => void cli.world.stderr.write(text),
      // Told by Cli.fail, as every other failure.
      outputError: () => undefined,
    })
    .addHelpText('after', example('walden status', 'walden backup main', 'walden COMMAND --help'));
  addServiceOptions(program);
  for (const entry of COMMANDS) addCommand(program, entry, cli);
  return program;
}

/** The command's file is loaded when the command line names it, so that `walden --help` and scripts start quickly. */
function addCommand(parent: Command, entry: CommandEntry, cli: Cli): void {
  const command = parent.command(entry.name).description(entry.summary).helpCommand(false);
  if ('commands' in entry) {
    command.addHelpText('after', example(entry.example));
    for (const child of entry.commands) addCommand(command, child, cli);
    return;
  }
  parent.hook('preSubcommand', async (_parent, chosen) => {
    if (chosen !== command) return;
    const define = await entry.load();
    define(command, cli);
  });
}

/** `walden help backup` is `walden backup --help`. */
function helpFirst(words: readonly string[]): string[] {
  return words[0] === 'help' ? [...words.slice(1), '--help'] : [...words];
}

function usageError(error: CommanderError): WaldenError {
  if (error.code === 'commander.help') {
    return new WaldenError('USAGE', 'a command is missing', { hint: 'choose one of those above' });
  }
  return new WaldenError('USAGE', error.message.replace(/^error: /, '').replace(/\n/g, ' '));
}
