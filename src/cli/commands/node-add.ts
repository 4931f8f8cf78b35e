import type { Command } from 'commander';
import type { AddNodeRequest, NodeAnswerDocument } from '../../service/api-nodes.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { renderNodeAnswer } from '../render/nodes.ts';

interface AddOptions extends ServiceOptions {
  readonly conninfo: string;
}

export function defineNodeAdd(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .argument('<name>', 'a name for the node')
    .requiredOption('--conninfo <conninfo>', 'how the service asks it by SQL, without a password')
    .description(
      'Has a server be known as a node of a cluster, whether it answers now or not. A server of another cluster is refused. Passwords come from a passfile (~/.pgpass of the user of the service).',
    )
    .addHelpText('after', example("walden node add main db2 --conninfo 'host=db2 user=walden'"))
    .action(async (cluster: string, name: string) => {
      const { conninfo, ...options } = command.optsWithGlobals<AddOptions>();
      const client = await connect(cli, options);
      const request: AddNodeRequest = { name, conninfo };
      const answer = await client.post<NodeAnswerDocument>(clusterPath(cluster, 'nodes'), request);
      cli.result(answer, (document) => renderNodeAnswer(document, 'added'));
    });
}
