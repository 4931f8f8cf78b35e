import type { Command } from 'commander';
import type { RepairRequest } from '../../service/api.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { followJob, startJob } from '../follow-job.ts';
import { count, formatBytes } from '../render/units.ts';

interface RepairOptions extends ServiceOptions {
  readonly cluster?: string;
}

interface RepairResult {
  readonly objects: number;
  readonly bytes: number;
  readonly repaired: number;
  readonly repairedKeys: readonly string[];
}

export function defineRepositoryRepair(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<repository>', 'name of the repository')
    .option('--cluster <name>', 'only this cluster (default: all)')
    .description(
      'Reads and checks every object that a repository is to hold, and replaces what is damaged or missing by the copy of another repository.',
    )
    .addHelpText('after', example('walden repository repair local'))
    .action(async (repository: string) => {
      const { cluster, ...options } = command.optsWithGlobals<RepairOptions>();
      const request: RepairRequest = cluster === undefined ? {} : { cluster };
      const client = await connect(cli, options);
      const path = `/v1/repositories/${encodeURIComponent(repository)}/repair`;
      const job = await followJob(cli, client, await startJob(cli, client, path, request));
      cli.result({ repository, result: job.result }, ({ result }) => render(result as RepairResult));
    });
}

function render({ objects, bytes, repaired, repairedKeys }: RepairResult): string {
  const checked = `checked ${count(objects, 'object')}, ${formatBytes(bytes)}`;
  if (repaired === 0) return `${checked}: all are right`;
  const more = repaired - repairedKeys.length;
  return [
    `${checked}; replaced ${repaired} by good copies:`,
    ...repairedKeys.map((key) => `  ${key}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ].join('\n');
}
