import type { Command } from 'commander';
import type { WalListDocument } from '../../service/api.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { renderWalList } from '../render/wal.ts';

export function defineWalList(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .description('Lists what the archive holds, as unbroken ranges of segments.')
    .addHelpText('after', example('walden wal list main'))
    .action(async (cluster: string) => {
      const client = await connect(cli, command.optsWithGlobals<ServiceOptions>());
      const list = await client.get<WalListDocument>(clusterPath(cluster, 'wal'));
      cli.result(list, (document) => renderWalList(document, cli.columns));
    });
}
