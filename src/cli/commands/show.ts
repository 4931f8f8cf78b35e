import { once } from 'node:events';
import type { Command } from 'commander';
import { WaldenError } from '../../errors.ts';
import type { BackupDocument, BackupFileDocument } from '../../service/api.ts';
import type { DrillListDocument, VerificationListDocument } from '../../service/api-proof.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addOfflineOptions, connect, isOffline, type OfflineOptions, withRepository } from '../connection.ts';
import { example } from '../example.ts';
import { renderBackup, renderFileLine } from '../render/backups.ts';

interface ShowOptions extends OfflineOptions {
  readonly files?: true;
  readonly drills?: true;
  readonly verified?: true;
}

interface Source {
  show(): Promise<BackupDocument>;
  files(): AsyncIterable<BackupFileDocument>;
}

export function defineShow(command: Command, cli: Cli): void {
  addOfflineOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .argument('[backup]', 'backup id, or latest', 'latest')
    .option('--files', 'list its files instead; with --json one document per line')
    .option('--drills', 'show what drills of the cluster have proven instead')
    .option('--verified', 'show when what was verified last instead')
    .description('Shows one backup; or the proof that there is of the whole cluster.')
    .addHelpText(
      'after',
      example('walden show main latest', 'walden show main 20261122T021500F --files', 'walden show main --drills'),
    )
    .action(async (cluster: string, backup: string) => {
      const options = command.optsWithGlobals<ShowOptions>();
      if (options.drills === true || options.verified === true) {
        await printProof(cli, cluster, options);
        return;
      }
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

/** Only the catalog of a service knows it. @throws USAGE */
async function printProof(cli: Cli, cluster: string, options: ShowOptions): Promise<void> {
  if (isOffline(options)) {
    throw new WaldenError('USAGE', 'what was proven is known by the service, not by a repository alone', {
      hint: 'leave out what names a repository',
    });
  }
  const client = await connect(cli, options);
  if (options.drills === true) {
    const { renderDrillList } = await import('../render/drills.ts');
    const drills = await client.get<DrillListDocument>(clusterPath(cluster, 'drills'));
    cli.result(drills, (document) => renderDrillList(document, cli.clock.now(), cli.columns));
    return;
  }
  const { renderVerified } = await import('../render/verify.ts');
  const verified = await client.get<VerificationListDocument>(clusterPath(cluster, 'verifications'));
  cli.result(verified, (document) => renderVerified(document, cli.clock.now(), cli.columns));
}

/** A backup may have millions of files: one after the other, at the pace of who reads. */
async function printFiles(cli: Cli, source: Source): Promise<void> {
  const { stdout } = cli.world;
  for await (const file of source.files()) {
    const line = cli.json ? JSON.stringify({ format: 1, ...file }) : renderFileLine(file);
    if (!stdout.write(`${line}\n`)) await once(stdout, 'drain');
  }
}
