import type { Command } from 'commander';
import type { BackupListDocument } from '../../service/api.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addOfflineOptions, connect, isOffline, type OfflineOptions, withRepository } from '../connection.ts';
import { example } from '../example.ts';
import { renderBackupList } from '../render/backups.ts';

export function defineList(command: Command, cli: Cli): void {
  addOfflineOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .description('Lists the backups of a cluster, oldest first.')
    .addHelpText('after', example('walden list main', 'walden list main --repository-path /mnt/backup/repository'))
    .action(async (cluster: string) => {
      const options = command.optsWithGlobals<OfflineOptions>();
      const list = isOffline(options)
        ? await withRepository(cli, options, (walden) => walden.list(cluster))
        : await (await connect(cli, options)).get<BackupListDocument>(clusterPath(cluster, 'backups'));
      cli.result(list, (document) => renderBackupList(document, cli.columns));
    });
}
