import type { Command } from 'commander';
import { WaldenError } from '../../errors.ts';
import type { ReceiverAnswerDocument } from '../../service/api.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { renderReceiverAnswer } from '../render/receiver.ts';

/** Ending the session before waits for what is being stored. */
const DEADLINE_SECONDS = 600;

interface FollowOptions extends ServiceOptions {
  readonly primary?: string;
  readonly configured?: true;
}

export function defineClusterFollow(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .option('--primary <conninfo>', 'where its primary is now, without a password')
    .option('--configured', 'give that up: receive from what the configuration names again')
    .description(
      'Has the receiver of a cluster go on with the node that was promoted, until it is told otherwise; also after a restart of the service. The node must take writes, and its timeline come from the one that was received last.',
    )
    .addHelpText(
      'after',
      example(
        "walden cluster follow main --primary 'host=db2 user=receiver'",
        'walden cluster follow main --configured',
      ),
    )
    .action(async (cluster: string) => {
      const options = command.optsWithGlobals<FollowOptions>();
      if ((options.primary === undefined) === (options.configured === undefined)) {
        throw new WaldenError('USAGE', 'either --primary or --configured is to be given', {
          hint: "for example: --primary 'host=db2 user=receiver'",
        });
      }
      const client = await connect(cli, options);
      const answer = await client.post<ReceiverAnswerDocument>(
        clusterPath(cluster, 'primary'),
        { conninfo: options.primary ?? null },
        { deadlineSeconds: DEADLINE_SECONDS },
      );
      cli.result(answer, (document) => renderReceiverAnswer(document, cli.clock.now()));
    });
}
