import type { Command } from 'commander';
import type { HoldDocument, HoldRequest } from '../../service/retention-api.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { renderHold, renderRelease } from '../render/holds.ts';

interface KeepOptions extends ServiceOptions {
  readonly until?: string;
  readonly reason?: string;
}

export function defineKeep(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .argument('<backup>', 'id of the backup, or latest')
    .description(
      'Has one backup kept whatever retention says, with all that it builds on and the WAL that makes it consistent.',
    )
    .option('--until <time>', 'how long (default: until it is released)')
    .option('--reason <text>', 'why; walden expire tells it')
    .addHelpText(
      'after',
      example("walden keep main 20261122T021500F --until '2027-12-31 00:00Z' --reason 'audit of 2026'"),
    )
    .action(async (cluster: string, backup: string) => {
      const { until, reason, ...options } = command.optsWithGlobals<KeepOptions>();
      const request: HoldRequest = {
        ...(until === undefined ? {} : { until }),
        ...(reason === undefined ? {} : { reason }),
      };
      const client = await connect(cli, options);
      const hold = await client.post<HoldDocument>(clusterPath(cluster, 'backups', backup, 'keep'), request);
      for (const note of hold.notes) cli.remark(note);
      cli.result(hold, renderHold);
    });
}

export function defineRelease(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .argument('<backup>', 'id of the backup, or latest')
    .description('Ends what walden keep began: retention decides about the backup again.')
    .addHelpText('after', example('walden release main 20261122T021500F'))
    .action(async (cluster: string, backup: string) => {
      const client = await connect(cli, command.optsWithGlobals<ServiceOptions>());
      const hold = await client.post<HoldDocument>(clusterPath(cluster, 'backups', backup, 'release'));
      for (const note of hold.notes) cli.remark(note);
      cli.result(hold, renderRelease);
    });
}
