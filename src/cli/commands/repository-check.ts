import type { Command } from 'commander';
import type { ObservedCall } from '../../../storage-drivers/with-observer.ts';
import type { Cli } from '../cli.ts';
import { addConfigOption, type ConfigOptions, withConfiguredRepository } from '../connection.ts';
import { example } from '../example.ts';
import { firstFailure, renderRepositoryCheck, repositoryCheckDocument } from '../render/repository.ts';

const TRANSFER_BYTES = 64 * 1024 * 1024;

export function defineRepositoryCheck(command: Command, cli: Cli): void {
  addConfigOption(command)
    .argument('<repository>', 'name of the repository')
    .description(
      'Stores, reads, lists and removes probe objects, and says what the store can, how fast it is, and what is not allowed.',
    )
    .addHelpText('after', example('walden repository check offsite'))
    .action(async (name: string) => {
      const { checkRepository } = await import('../../repository/check-repository.ts');
      const signal = cli.interruption();
      const calls: ObservedCall[] = [];
      await withConfiguredRepository(
        cli,
        command.optsWithGlobals<ConfigOptions>(),
        name,
        { access: 'read-write', observe: (call) => calls.push(call) },
        async (driver) => {
          const check = await checkRepository(driver, { transferBytes: TRANSFER_BYTES, clock: cli.clock, signal });
          const document = repositoryCheckDocument(name, driver, check, calls);
          cli.result(document, (found) => renderRepositoryCheck(found, cli.columns));
          const failure = firstFailure(check);
          if (failure !== undefined && !cli.json) cli.fail(failure);
          else if (failure !== undefined) cli.exitStatus = failure.exitCode;
        },
      );
    });
}
