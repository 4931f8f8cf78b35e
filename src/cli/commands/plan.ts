import type { Command } from 'commander';
import type { PlanDocument } from '../../service/api.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addOfflineOptions, connect, isOffline, type OfflineOptions, withRepository } from '../connection.ts';
import { example } from '../example.ts';
import { renderPlan } from '../render/plan.ts';
import { addTargetOptions, restoreRequest, type TargetOptions } from '../target-options.ts';

/** Many commits may have to be looked up. */
const DEADLINE_SECONDS = 600;

export function definePlan(command: Command, cli: Cli): void {
  addTargetOptions(addOfflineOptions(command))
    .argument('<cluster>', 'name of the cluster')
    .option('--to <directory>', 'the new data directory, as for restore')
    .description('Says what a restore would do and whether it can work, without touching anything.')
    .addHelpText('after', example("walden plan main --time '10 minutes ago'", 'walden plan main --name before_upgrade'))
    .action(async (cluster: string) => {
      const options = command.optsWithGlobals<OfflineOptions & TargetOptions & { readonly to?: string }>();
      const request = restoreRequest(options, options.to ?? '', cli.world.workingDirectory);
      const plan = isOffline(options)
        ? await withRepository(cli, options, (walden) => walden.plan(cluster, request))
        : await (
            await connect(cli, options)
          ).post<PlanDocument>(clusterPath(cluster, 'plan'), request, { deadlineSeconds: DEADLINE_SECONDS });
      cli.result(plan, renderPlan);
    });
}
