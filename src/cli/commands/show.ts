import { once } from 'node:events';
import type { Command } from 'commander';
import type { BackupDocument, BackupFileDocument } from '../../service/api.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addOfflineOptions, connect, isOffline, type OfflineOptions, withRepository } from '../connection.ts';
import { example } from '../example.ts';
import { renderBackup, renderFileLine } from '../render/backups.ts';

interface Source {
  show(): Promise<BackupDocument>;
  files(): AsyncIterable<BackupFileDocument>;
}

export function defineShow(command: Command, cli: Cli): void {
  addOfflineOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .argument('[backup]', 'backup id, or latest', 'latest')
    .option('--files', 'list its files instead; with --json one document per line')
    .description('Shows one backup.')
    .addHelpText('after', example('walden show main latest', 'walden show main 20261122T021500F --files'))
    .action(async (cluster: string, backup: string) => {
      const options = command.optsWithGlobals<OfflineOptions & { readonly files?: true }>();
      const print = async (source: Source): Promise<void> => {
        if (options.files === true) await printFiles(cli, source);
        else cli.result(await source.show(), renderBackup);
      };
      if (isOffline(options)) {
        await withRepository(cli, options, (walden) =>
          print({ show: () => walden.show(cluster, backup), files: () => walden.files(cluster, backup) }),
        );
        return;
      }
      const client = await connect(cli, options);
      const path = clusterPath(cluster, 'backups', backup);
      await print({
        show: () => client.get(path),
        files: () => client.lines(`${path}/files`, { deadlineSeconds: 3600 }),
      });
    });
}

/** A backup may have millions of files: one after the other, at the pace of who reads. */
async function printFiles(cli: Cli, source: Source): Promise<void> {
  const { stdout } = cli.world;
  for await (const file of source.files()) {
    const line = cli.json ? JSON.stringify({ format: 1, ...file }) : renderFileLine(file);
    if (!stdout.write(`${line}\n`)) await once(stdout, 'drain');
  }
}
