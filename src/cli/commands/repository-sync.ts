import type { Command } from 'commander';
import type { SyncRequest } from '../../service/api.ts';
import type { Cli } from '../cli.ts';
import { addServiceOptions, connect, type ServiceOptions } from '../connection.ts';
import { example } from '../example.ts';
import { followJob, startJob } from '../follow-job.ts';
import { count, formatBytes } from '../render/units.ts';

interface SyncOptions extends ServiceOptions {
  readonly cluster?: string;
  readonly since?: string;
}

export function defineRepositorySync(command: Command, cli: Cli): void {
  addServiceOptions(command)
    .argument('<from>', 'name of the repository to copy')
    .argument('<to>', 'name of the repository to copy into')
    .option('--cluster <name>', 'only this cluster (default: all)')
    .option('--since <time>', 'only backups that began then or later, and WAL from the first of them on')
    .description(
      'Copies into one repository what another one holds and it lacks, byte for byte. Nothing is overwritten or removed; begun again, it goes on where it ended.',
    )
    .addHelpText(
      'after',
      example(
        'walden repository sync local offsite',
        "walden repository sync local offsite --since '2026-11-01 00:00Z'",
      ),
    )
    .action(async (from: string, to: string) => {
      const { cluster, since, ...options } = command.optsWithGlobals<SyncOptions>();
      const request: SyncRequest = {
        ...{ from, to },
        ...(cluster === undefined ? {} : { cluster }),
        ...(since === undefined ? {} : { since }),
      };
      const client = await connect(cli, options);
      const job = await followJob(cli, client, await startJob(cli, client, '/v1/repositories/sync', request));
      cli.result({ from, to, result: job.result }, ({ result }) => {
        const { walFiles, backups, bytes } = result as Readonly<Record<'walFiles' | 'backups' | 'bytes', number>>;
        if (walFiles + backups === 0) return `repository ${to} holds all that ${from} holds`;
        const copied = [count(walFiles, 'WAL file'), count(backups, 'backup')].join(' and ');
        return `copied ${copied} from ${from} to ${to}: ${formatBytes(bytes)}`;
      });
    });
}
