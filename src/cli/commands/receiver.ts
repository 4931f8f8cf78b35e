import type { Command } from 'commander';
import type { ReceiverAnswerDocument } from '../../service/api.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import type { DefineCommand } from '../commands.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { renderReceiverAnswer } from '../render/receiver.ts';

/** Ending waits for what is being stored. */
const DEADLINE_SECONDS = 600;

export const defineReceiverStart = receiverCommand(
  'start',
  'Begins to receive WAL where it was stopped, from where its spool or the repositories end.',
);
export const defineReceiverStop = receiverCommand(
  'stop',
  'Ends the receiving of WAL until it is started again with walden receiver start, also across restarts of the service. The slot keeps all WAL on the server meanwhile.',
);
export const defineReceiverReset = receiverCommand(
  'reset',
  'Puts aside the segment that was being received, and those that the repositories refuse, and begins anew behind what the repositories have. Nothing is removed; the slot stays.',
);

function receiverCommand(action: 'start' | 'stop' | 'reset', description: string): DefineCommand {
  return (command: Command, cli: Cli): void => {
    addServiceOptions(command)
      .argument('<cluster>', 'name of the cluster')
      .description(description)
      .addHelpText('after', example(`walden receiver ${action} main`))
      .action(async (cluster: string) => {
        const client = await connect(cli, command.optsWithGlobals<ServiceOptions>());
        const path = clusterPath(cluster, 'receiver', action);
        const answer = await client.post<ReceiverAnswerDocument>(path, undefined, {
          deadlineSeconds: DEADLINE_SECONDS,
        });
        cli.result(answer, (document) => renderReceiverAnswer(document, cli.clock.now()));
      });
  };
}
