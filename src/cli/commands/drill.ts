import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { parseDrillCheck } from '../../config/drill-check.ts';
import { localIoError } from '../../errors.ts';
import type { DrillRequest } from '../../service/api.ts';
import type { DrillDocument } from '../../service/api-proof.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, collect, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { followJob, startJob } from '../follow-job.ts';
import { wholeNumber } from '../numbers.ts';
import { renderDrill } from '../render/drills.ts';
import { addRecoveryTargetOptions, type TargetOptions, targetRequest } from '../target-options.ts';

interface DrillOptions extends ServiceOptions, TargetOptions {
  readonly scratch?: string;
  readonly pgBin?: string;
  readonly sql?: readonly string[];
  readonly wait: boolean;
}

export function defineDrill(command: Command, cli: Cli): void {
  addRecoveryTargetOptions(addServiceOptions(command))
    .argument('<cluster>', 'name of the cluster')
    .description(
      'Restores the cluster for proof: into a scratch directory of the host of the service, starts it there, waits until it has recovered, checks it, measures all of it, and throws it away. Nobody can reach it, and it archives nothing.',
    )
    .option('--scratch <directory>', 'where to restore to (default: the key drill_directory)')
    .option('--pg-bin <directory>', "where PostgreSQL's programs are (default: the key pg_bin)")
    .option(
      '--sql <[database=]file>',
      'SQL of which every row must begin with true; may be repeated (default: the key drill_checks)',
      collect,
    )
    .option('--workers <number>', 'threads (default: the key workers)', wholeNumber(1, 256))
    .option('--no-wait', 'start it and come back at once')
    .addHelpText(
      'after',
      example('walden drill main', "walden drill main --time '1 hour ago' --sql /etc/walden/orders.sql"),
    )
    .action(async (cluster: string) => {
      const options = command.optsWithGlobals<DrillOptions>();
      const request = await drillRequest(options, cli.world.workingDirectory);
      const client = await connect(cli, options);
      const job = await startJob(cli, client, clusterPath(cluster, 'drills'), request);
      if (!options.wait) {
        cli.result({ job }, () => `started job ${job.id}; watch it with: walden job show ${job.id}`);
        return;
      }
      const { result } = await followJob(cli, client, job);
      const { drill } = result as { readonly drill: DrillDocument };
      cli.result({ drill }, (document) => renderDrill(document.drill));
    });
}

/** @throws USAGE, LOCAL_IO */
async function drillRequest(options: DrillOptions, workingDirectory: string): Promise<DrillRequest> {
  const { scratch, pgBin, sql, workers } = options;
  const checks = sql && (await Promise.all(sql.map((word) => sqlCheck(word, workingDirectory))));
  return {
    target: targetRequest(options),
    ...(scratch === undefined ? {} : { scratch: resolve(workingDirectory, scratch) }),
    ...(pgBin === undefined ? {} : { pgBin: resolve(workingDirectory, pgBin) }),
    ...(checks === undefined ? {} : { checks }),
    ...(workers === undefined ? {} : { workers }),
  };
}

async function sqlCheck(word: string, workingDirectory: string): Promise<NonNullable<DrillRequest['checks']>[number]> {
  const { database, file } = parseDrillCheck(word);
  const path = resolve(workingDirectory, file);
  try {
    const text = await readFile(path, 'utf8');
    return { name: path, sql: text, ...(database === undefined ? {} : { database }) };
  } catch (error) {
    throw localIoError(error, `unable to read the check ${path}`);
  }
}
