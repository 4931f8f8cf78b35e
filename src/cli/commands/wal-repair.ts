import { resolve } from 'node:path';
import type { Command } from 'commander';
import { isWaldenError } from '../../errors.ts';
import type { WalRepairDocument, WalRepairRequest } from '../../service/wal-repair-api.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, collect, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { followJob, startJob } from '../follow-job.ts';
import { renderWalRepair } from '../render/wal-repair.ts';

interface WalRepairOptions extends ServiceOptions {
  readonly from?: readonly string[];
  readonly dryRun?: boolean;
}

export function defineWalRepair(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .option(
      '--from <node>',
      'where it may be besides: a data directory of this host, or a connection string without a password (repeatable)',
      collect,
    )
    .option('--dry-run', 'only say what would be fetched, and from where')
    .description(
      'Fetches the segments and timeline histories that the archive lacks from the nodes that still have them, over the replication protocol or out of pg_wal, and says what stays missing. Of a directory that is named all WAL is taken over that its archiver has not brought.',
    )
    .addHelpText(
      'after',
      example(
        'walden wal repair main',
        'walden wal repair main --from /var/lib/postgresql/17/main',
        "walden wal repair main --from 'host=db2 user=receiver' --dry-run",
      ),
    )
    .action(async (cluster: string) => {
      const { from, dryRun = false, ...options } = command.optsWithGlobals<WalRepairOptions>();
      const request: WalRepairRequest = { from: (from ?? []).map(nodeOf), dryRun };
      const client = await connect(cli, options);
      const path = clusterPath(cluster, 'wal', 'repair');
      try {
        const job = await followJob(cli, client, await startJob(cli, client, path, request));
        cli.result(job.result as WalRepairDocument, (result) => renderWalRepair(result, cli.columns));
      } catch (error) {
        // What was found is told before what was not.
        if (isWaldenError(error) && 'result' in error.details && !cli.json) {
          cli.print(renderWalRepair(error.details['result'] as WalRepairDocument, cli.columns));
        }
        throw error;
      }
    });
}

/** The service has another working directory. */
function nodeOf(text: string): string {
  return !text.startsWith('/') && (text.includes('=') || text.includes('://')) ? text : resolve(text);
}
