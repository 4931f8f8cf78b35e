import type { Command } from 'commander';
import { isWaldenError } from '../../errors.ts';
import type { PingDocument } from '../../service/api.ts';
import type { ApiClient } from '../api-client.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { wholeNumber } from '../numbers.ts';
import { formatAge } from '../render/units.ts';

const PING_SECONDS = 5;
const PAUSE_MS = 200;

export function definePing(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .description('Asks whether the service is ready; ends with status 14 when nobody answers.')
    .option('--wait <seconds>', 'keep asking for this long', wholeNumber(0, 3600))
    .addHelpText('after', example('walden ping --wait 30'))
    .action(async () => {
      const { wait = 0, ...options } = command.optsWithGlobals<ServiceOptions & { readonly wait?: number }>();
      const answer = await ask(cli, await connect(cli, options), wait);
      cli.result(answer, ({ version, pid, startedAt, clusters }) => {
        const age = formatAge(startedAt, cli.clock.now());
        return `ready: walden ${version}, process ${pid}, started ${age}, clusters: ${clusters.join(', ')}`;
      });
    });
}

async function ask(cli: Cli, client: ApiClient, waitSeconds: number): Promise<PingDocument> {
  const end = cli.clock.now().getTime() + waitSeconds * 1000;
  for (;;) {
    try {
      return await client.get<PingDocument>('/v1/ping', { deadlineSeconds: PING_SECONDS });
    } catch (error) {
      if (!isWaldenError(error, 'SERVICE_UNREACHABLE') || cli.clock.now().getTime() >= end) throw error;
      await cli.clock.sleep(PAUSE_MS);
    }
  }
}
