import type { Command } from 'commander';
import { WaldenError } from '../../errors.ts';
import type { BackupDocument, BackupRequest, JobDocument } from '../../service/api.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { followJob, startJob } from '../follow-job.ts';
import { wholeNumber } from '../numbers.ts';
import { isCorrupt, renderBackup } from '../render/backups.ts';

interface BackupOptions extends ServiceOptions {
  readonly workers?: number;
  readonly compressionLevel?: number;
  readonly label?: string;
  readonly incremental?: boolean;
  readonly parent?: string;
  readonly wait: boolean;
}

export function defineBackup(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .description(
      'Takes a base backup of the running cluster. Interrupting it cancels the backup and leaves nothing behind.',
    )
    .option('--workers <number>', 'threads (default: the key workers)', wholeNumber(1, 256))
    .option('--compression-level <level>', 'zstd level (default: the key backup_compression_level)', wholeNumber(1, 19))
    .option('--label <text>', 'label for pg_backup_start and walden list')
    .option('--incremental', 'only what changed since another backup (PostgreSQL 17 and newer)')
    .option('--parent <backup>', 'with --incremental: the backup to build on (default: the newest that will do)')
    .option('--no-wait', 'start it and come back at once')
    .addHelpText('after', example('walden backup main --label "before the upgrade"'))
    .action(async (cluster: string) => {
      await takeBackup(cli, cluster, command.optsWithGlobals<BackupOptions>());
    });
}

async function takeBackup(cli: Cli, cluster: string, options: BackupOptions): Promise<void> {
  const { workers, compressionLevel, label, incremental, parent } = options;
  if (parent !== undefined && incremental !== true) {
    throw new WaldenError('USAGE', '--parent names what an incremental backup builds on', {
      hint: 'add --incremental',
    });
  }
  const request: BackupRequest = {
    ...(workers === undefined ? {} : { workers }),
    ...(compressionLevel === undefined ? {} : { compressionLevel }),
    ...(label === undefined ? {} : { label }),
    ...(incremental === undefined ? {} : { incremental }),
    ...(parent === undefined ? {} : { parent }),
  };
  const client = await connect(cli, options);
  const job = await startJob(cli, client, clusterPath(cluster, 'backups'), request);
  if (!options.wait) {
    cli.result({ job }, () => `started job ${job.id}; watch it with: walden job show ${job.id}`);
    return;
  }
  const done = await followJob(cli, client, job);
  const backups = backupsOf(done);
  cli.result({ job: done }, () => backups.map(renderBackup).join('\n\n'));
  for (const backup of backups) {
    if (isCorrupt(backup)) {
      cli.remark(
        `WARNING: backup ${backup.id} is kept, but pages of the cluster are CORRUPT; see: walden show ${cluster}`,
      );
    }
  }
}

function backupsOf(job: JobDocument): readonly BackupDocument[] {
  const { backups = [] } = job.result as { readonly backups?: readonly BackupDocument[] };
  return backups;
}
