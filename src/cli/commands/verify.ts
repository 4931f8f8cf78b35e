import type { Command } from 'commander';
import { isWaldenError } from '../../errors.ts';
import type { VerifyRequest } from '../../service/api-proof.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { followJob, startJob } from '../follow-job.ts';
import { byteSize, percentage } from '../numbers.ts';
import { renderVerification } from '../render/verify.ts';

interface VerifyOptions extends ServiceOptions {
  readonly backup?: string;
  readonly repository?: string;
  readonly sample?: number;
  readonly budget?: number;
  readonly wait: boolean;
}

export function defineVerify(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .description(
      'Reads what the repositories hold of a cluster again and compares it with its checksums, what was verified longest ago first; looks for WAL that is missing; and asks of each backup whether it can be recovered. What is damaged is marked, and not used by a restore.',
    )
    .option('--backup <id>', 'only this backup, what it builds on, and the WAL that it needs')
    .option('--repository <name>', 'only this repository (default: all of the cluster)')
    .option('--sample <share>', 'read so much of what is stored, like 5% (default: everything)', percentage)
    .option('--budget <size>', 'read so much, like 50GB, of all repositories together', byteSize)
    .option('--no-wait', 'start it and come back at once')
    .addHelpText(
      'after',
      example('walden verify main', 'walden verify main --sample 5%', 'walden verify main --budget 50GB'),
    )
    .action(async (cluster: string) => {
      await verify(cli, cluster, command.optsWithGlobals<VerifyOptions>());
    });
}

async function verify(cli: Cli, cluster: string, options: VerifyOptions): Promise<void> {
  const { backup, repository, sample, budget } = options;
  const request: VerifyRequest = {
    ...(backup === undefined ? {} : { backup }),
    ...(repository === undefined ? {} : { repository }),
    ...(sample === undefined ? {} : { share: sample }),
    ...(budget === undefined ? {} : { bytes: budget }),
  };
  const client = await connect(cli, options);
  const job = await startJob(cli, client, clusterPath(cluster, 'verifications'), request);
  if (!options.wait) {
    cli.result({ job }, () => `started job ${job.id}; watch it with: walden job show ${job.id}`);
    return;
  }
  try {
    const done = await followJob(cli, client, job);
    cli.result({ cluster, result: done.result }, ({ result }) => renderVerification(result));
  } catch (error) {
    // What was found is told before that it is bad.
    if (isWaldenError(error) && 'result' in error.details && !cli.json) {
      cli.print(renderVerification(error.details['result']));
    }
    throw error;
  }
}
