import type { Command } from 'commander';
import { ERRORS, toWaldenError, WaldenError } from '../../errors.ts';
import type { CheckLine } from '../check/facts.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, clusterOf, connect, readConfig, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { wholeNumber } from '../numbers.ts';
import {
  checkDocument,
  NAGIOS_STATUS,
  NAGIOS_UNKNOWN,
  renderCheck,
  renderNagios,
  renderNagiosUnknown,
} from '../render/check.ts';

interface CheckOptions extends ServiceOptions {
  readonly nagios?: true;
  readonly timeout: number;
}

export function defineCheck(command: Command, cli: Cli): void {
  if (cli.world.arguments.includes('--nagios')) cli.failWith(() => NAGIOS_UNKNOWN);
  addServiceOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .option('--timeout <seconds>', 'how long WAL may take to arrive', wholeNumber(1, 3600), 60)
    .option('--nagios', 'one line of a monitoring plugin with performance data, and its exit status 0, 1, 2 or 3')
    .description(
      `Ends the WAL segment that is being written and waits until it is in every required repository; then looks at all that archiving, backups and restores need. Status ${ERRORS.CHECK_FAILED.exit} when something failed; warnings do not change it.`,
    )
    .addHelpText('after', example('walden check main', 'walden check main --nagios --timeout 30'))
    .action(async (cluster: string) => {
      const options = command.optsWithGlobals<CheckOptions>();
      if (options.nagios !== true) {
        tell(cli, cluster, await check(cli, cluster, options));
        return;
      }
      try {
        const lines = await check(cli, cluster, options);
        cli.print(renderNagios(cluster, lines));
        cli.exitStatus = NAGIOS_STATUS[checkDocument(cluster, lines).outcome];
      } catch (error) {
        // A plugin is read from its standard output.
        cli.print(renderNagiosUnknown(toWaldenError(error).message));
        throw error;
      }
    });
}

async function check(cli: Cli, cluster: string, options: CheckOptions): Promise<readonly CheckLine[]> {
  const config = await readConfig(cli, options);
  const { gather } = await import('../check/gather.ts');
  const { judge } = await import('../check/all.ts');
  const facts = await gather({
    config,
    cluster: clusterOf(config, cluster),
    client: await connect(cli, options),
    clock: cli.clock,
    timeoutSeconds: options.timeout,
    signal: cli.interruption(),
  });
  return judge(facts);
}

function tell(cli: Cli, cluster: string, lines: readonly CheckLine[]): void {
  const document = checkDocument(cluster, lines);
  cli.result(document, () => renderCheck(cluster, lines));
  if (document.failed === 0) return;
  cli.exitStatus = ERRORS.CHECK_FAILED.exit;
  if (cli.json) return;
  throw new WaldenError('CHECK_FAILED', `${document.failed} of ${lines.length} checks of ${cluster} failed`);
}
