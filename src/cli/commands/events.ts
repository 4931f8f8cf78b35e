import type { Command } from 'commander';
import type { EventListDocument } from '../../service/watch-api.ts';
import { queryPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { wholeNumber } from '../numbers.ts';
import { renderEvents } from '../render/events.ts';

interface EventsOptions extends ServiceOptions {
  readonly follow?: boolean;
  readonly since?: string;
  readonly limit: number;
}

export function defineEvents(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('[cluster]', 'one cluster, and what concerns the service (default: all)')
    .description('Shows what changed the archive or needs eyes, the newest last.')
    .option('--since <time>', "not before this moment, like '2 hours ago'")
    .option('--limit <number>', 'the newest so many', wholeNumber(1, 10_000), 100)
    .option('--follow', 'go on until it is interrupted, with a line (--json: a document) for each event')
    .addHelpText('after', example('walden events main', "walden events main --since '2 days ago' --follow"))
    .action(async (cluster: string | undefined) => {
      const { follow, since, limit, ...options } = command.optsWithGlobals<EventsOptions>();
      const client = await connect(cli, options);
      const list = await client.get<EventListDocument>(
        queryPath('/v1/events', { cluster, since, limit: String(limit) }),
      );
      if (follow === true) {
        const { followEvents } = await import('../follow-log.ts');
        await followEvents(cli, client, cluster, list);
      } else {
        cli.result(list, ({ events }) => renderEvents(events));
      }
    });
}
