import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { localIoError, WaldenError } from '../../errors.ts';
import type { BackupListDocument, StatusDocument, WalGapsDocument, WalListDocument } from '../../service/api.ts';
import type { DrillListDocument, VerificationListDocument } from '../../service/api-proof.ts';
import type { ApiClient } from '../api-client.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import type { ReportData } from '../report/report-data.ts';
import { formatBytes } from '../render/units.ts';

export function defineReport(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .requiredOption('--html <file>', 'the page to write; one that is there is replaced')
    .description(
      'Writes one page with pictures: what can be recovered over time, with holes; backups and what they build on; WAL; what drills and verifications have shown. It needs nothing but a browser.',
    )
    .addHelpText('after', example('walden report main --html /tmp/main.html'))
    .action(async (cluster: string) => {
      const { html, ...options } = command.optsWithGlobals<ServiceOptions & { readonly html: string }>();
      const data = await readData(await connect(cli, options), cluster, cli.clock.now());
      const { renderReport } = await import('../report/report.ts');
      const page = renderReport(data);
      const file = resolve(cli.world.workingDirectory, html);
      await writeFile(file, page).catch((error: unknown) => {
        throw localIoError(error, `unable to write ${file}`);
      });
      const bytes = Buffer.byteLength(page);
      cli.result({ cluster, file, bytes }, () => `wrote ${file}, ${formatBytes(bytes)}`);
    });
}

async function readData(client: ApiClient, cluster: string, at: Date): Promise<ReportData> {
  const { version, clusters } = await client.get<StatusDocument>(`/v1/status?cluster=${encodeURIComponent(cluster)}`);
  const [status] = clusters;
  if (status === undefined) throw new WaldenError('NOT_FOUND', `there is no cluster ${JSON.stringify(cluster)}`);
  const { backups } = await client.get<BackupListDocument>(clusterPath(cluster, 'backups'));
  const { ranges } = await client.get<WalListDocument>(clusterPath(cluster, 'wal'));
  const { gaps } = await client.get<WalGapsDocument>(clusterPath(cluster, 'wal', 'gaps'));
  const { drills } = await client.get<DrillListDocument>(clusterPath(cluster, 'drills'));
  const { verified } = await client.get<VerificationListDocument>(clusterPath(cluster, 'verifications'));
  return { at, version, status, backups, ranges, gaps, drills, verified };
}
