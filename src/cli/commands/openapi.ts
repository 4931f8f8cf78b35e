import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';

export function defineOpenapi(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .description("Prints the description of the service's API (OpenAPI, JSON).")
    .addHelpText('after', example('walden openapi > walden-openapi.json'))
    .action(async () => {
      const client = await connect(cli, command.optsWithGlobals<ServiceOptions>());
      // A document with a version of its own: printed as it is, with --json too.
      cli.print(JSON.stringify(await client.get('/v1/openapi.json'), null, 2));
    });
}
