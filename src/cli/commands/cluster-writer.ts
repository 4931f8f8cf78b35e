import type { Command } from 'commander';
import { WaldenError } from '../../errors.ts';
import type { WriterListDocument } from '../../service/api-writers.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { wholeNumber } from '../numbers.ts';
import { renderWriters } from '../render/writers.ts';

interface WriterOptions extends ServiceOptions {
  readonly timeline?: number;
  readonly accept?: string;
}

export function defineClusterWriter(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .option('--timeline <number>', 'of which timeline', wholeNumber(1, 0xffff_ffff))
    .option('--accept <host:directory>', 'the node that writes it from now on')
    .description(
      'Shows which node writes each timeline, and which others are refused. With --accept, a node becomes the writer of a timeline: for a data directory that was moved, or got another host name. The one before is refused from then on. The server in the configured data_directory takes its timeline by itself.',
    )
    .addHelpText(
      'after',
      example(
        'walden cluster writer main',
        'walden cluster writer main --timeline 3 --accept db2:/var/lib/postgresql/17/main',
      ),
    )
    .action(async (cluster: string) => {
      const options = command.optsWithGlobals<WriterOptions>();
      const { timeline, accept } = options;
      if ((timeline === undefined) !== (accept === undefined)) {
        throw new WaldenError('USAGE', '--timeline and --accept are to be given together', {
          hint: 'for example: --timeline 3 --accept db2:/var/lib/postgresql/17/main',
        });
      }
      const client = await connect(cli, options);
      const path = clusterPath(cluster, 'writers');
      const list =
        timeline === undefined
          ? await client.get<WriterListDocument>(path)
          : await client.post<WriterListDocument>(path, { timeline, node: accept });
      cli.result(list, (document) => renderWriters(document, cli.columns, cli.clock.now()));
    });
}
