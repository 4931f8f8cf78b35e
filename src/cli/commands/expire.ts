import type { Command } from 'commander';
import type { ExpiryPlanDocument, ExpiryResultDocument } from '../../service/retention-api.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { followJob, startJob } from '../follow-job.ts';
import { renderExpiryPlan, renderExpiryResult } from '../render/expiry.ts';

interface ExpireOptions extends ServiceOptions {
  readonly dryRun?: boolean;
  readonly at?: string;
}

/** The listing of a large repository that is far takes minutes. */
const PLAN_SECONDS = 600;

export function defineExpire(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .description(
      'Removes the backups and the WAL that no section [retention.NAME] keeps, and what crashed work left. Interrupting it is safe: the next run goes on.',
    )
    .option('--dry-run', 'only say what would go, and why each thing stays')
    .option('--at <time>', 'say what would go at a later moment; nothing is removed')
    .addHelpText('after', example('walden expire main --dry-run', "walden expire main --at '2026-12-24 00:00Z'"))
    .action(async (cluster: string) => {
      const { dryRun, at, ...options } = command.optsWithGlobals<ExpireOptions>();
      const client = await connect(cli, options);
      if (dryRun === true || at !== undefined) {
        const request = at === undefined ? {} : { at };
        const limits = { deadlineSeconds: PLAN_SECONDS };
        const plan = await client.post<ExpiryPlanDocument>(clusterPath(cluster, 'expiry', 'plan'), request, limits);
        for (const note of plan.notes) cli.remark(note);
        cli.result(plan, (document) => renderExpiryPlan(document, cli.columns));
        return;
      }
      const job = await followJob(cli, client, await startJob(cli, client, clusterPath(cluster, 'expiry')));
      cli.result({ cluster, result: job.result }, ({ result }) => renderExpiryResult(result as ExpiryResultDocument));
    });
}
