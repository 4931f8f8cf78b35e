import type { Command } from 'commander';
import type { RestoreRequest } from '../../service/api.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addOfflineOptions, connect, isOffline, type OfflineOptions, withRepository } from '../connection.ts';
import { example } from '../example.ts';
import { followJob, startJob } from '../follow-job.ts';
import { createProgressBar } from '../render/progress-bar.ts';
import { renderRestore } from '../render/restore.ts';
import { addDeltaOptions, addTargetOptions, restoreRequest, type TargetOptions } from '../target-options.ts';

interface RestoreOptions extends OfflineOptions, TargetOptions {
  readonly to: string;
}

export function defineRestore(command: Command, cli: Cli): void {
  addDeltaOptions(addTargetOptions(addOfflineOptions(command)))
    .argument('<cluster>', 'name of the cluster')
    .requiredOption('--to <directory>', 'the new data directory: absent or empty, or with --delta an old one')
    .description('Restores a cluster into a directory and writes its recovery settings. Starting the server is yours.')
    .addHelpText(
      'after',
      example(
        "walden restore main --to /srv/restored --time '2026-11-22 14:03:00+01'",
        'walden restore main --to /srv/standby --standby',
        'walden restore main --to /var/lib/postgresql/17/main --delta',
        'walden restore main --to /srv/restored --repository-path /mnt/repository',
        'walden restore main --to /srv/restored --repository-path /mnt/repository --key-file /mnt/stick/recovery.key',
        "walden restore main --to /srv/restored --repository offsite --as-of '2026-11-22 14:03:00+01'",
      ),
    )
    .action(async (cluster: string) => {
      const options = command.optsWithGlobals<RestoreOptions>();
      const request = restoreRequest(options, options.to, cli.world.workingDirectory);
      const outcome = isOffline(options)
        ? await restoreOffline(cli, cluster, request, options)
        : await restoreByService(cli, cluster, request, options);
      cli.result({ cluster, to: request.to, result: outcome }, () => renderRestore(outcome));
    });
}

async function restoreByService(
  cli: Cli,
  cluster: string,
  request: RestoreRequest,
  options: RestoreOptions,
): Promise<unknown> {
  const client = await connect(cli, options);
  const job = await startJob(cli, client, clusterPath(cluster, 'restores'), request);
  return (await followJob(cli, client, job)).result;
}

async function restoreOffline(
  cli: Cli,
  cluster: string,
  request: RestoreRequest,
  options: RestoreOptions,
): Promise<unknown> {
  const signal = cli.interruption();
  const bar = await createProgressBar(cli.world.stderr);
  try {
    return await withRepository(cli, options, (walden) =>
      walden.restore(cluster, request, {
        signal,
        onProgress: (progress) => {
          bar.show({ progress });
        },
      }),
    );
  } finally {
    bar.stop();
  }
}
