import type { Command } from 'commander';
import type { NodeListDocument } from '../../service/api-nodes.ts';
import { queryPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { renderNodes } from '../render/nodes.ts';

export function defineNodeList(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('[cluster]', 'one cluster (default: all)')
    .description(
      'Asks each node of a cluster what it is, whom it follows, how far it is and where it fetches WAL. A node that does not answer is listed with the reason.',
    )
    .addHelpText('after', example('walden node list main'))
    .action(async (cluster: string | undefined) => {
      const client = await connect(cli, command.optsWithGlobals<ServiceOptions>());
      const list = await client.get<NodeListDocument>(queryPath('/v1/nodes', { cluster }));
      cli.result(list, (document) =>
        renderNodes(document, { now: cli.clock.now(), columns: cli.columns, alarm: (text) => alarm(cli, text) }),
      );
    });
}

/** In red letters on a terminal that nobody has forbidden colours (no-color.org). */
function alarm({ world: { stdout, environment } }: Cli, text: string): string {
  const isPlain = stdout.isTTY !== true || (environment['NO_COLOR'] ?? '') !== '';
  return isPlain ? text : `\u001B[31m${text}\u001B[39m`;
}
