import type { Command } from 'commander';
import type { WalGapsDocument } from '../../service/api.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { renderWalGaps } from '../render/wal.ts';

export function defineWalGaps(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .description('Lists segments that are missing between others.')
    .addHelpText('after', example('walden wal gaps main'))
    .action(async (cluster: string) => {
      const client = await connect(cli, command.optsWithGlobals<ServiceOptions>());
      const gaps = await client.get<WalGapsDocument>(clusterPath(cluster, 'wal', 'gaps'));
      cli.result(gaps, (document) => renderWalGaps(document, cli.columns));
    });
}
