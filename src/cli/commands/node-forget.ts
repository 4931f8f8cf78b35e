import type { Command } from 'commander';
import type { NodeAnswerDocument } from '../../service/api-nodes.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { renderNodeAnswer } from '../render/nodes.ts';

export function defineNodeForget(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .argument('<name>', 'name of the node')
    .description('Has a node be known no more. Nothing is changed on it, or on its upstream.')
    .addHelpText('after', example('walden node forget main db2'))
    .action(async (cluster: string, name: string) => {
      const client = await connect(cli, command.optsWithGlobals<ServiceOptions>());
      const answer = await client.post<NodeAnswerDocument>(clusterPath(cluster, 'nodes', name, 'forget'));
      cli.result(answer, (document) => renderNodeAnswer(document, 'forgotten'));
    });
}
