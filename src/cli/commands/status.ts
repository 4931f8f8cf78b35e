import type { Command } from 'commander';
import type { StatusDocument } from '../../service/api.ts';
import { queryPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { renderStatus } from '../render/status.ts';

export function defineStatus(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('[cluster]', 'one cluster (default: all)')
    .description(
      'Says from when to when each cluster can be restored, with which holes; what waits, what was refused, what runs.',
    )
    .addHelpText('after', example('walden status main'))
    .action(async (cluster: string | undefined) => {
      const client = await connect(cli, command.optsWithGlobals<ServiceOptions>());
      const status = await client.get<StatusDocument>(queryPath('/v1/status', { cluster }));
      cli.result(status, (document) => renderStatus(document, cli.clock.now()));
    });
}
