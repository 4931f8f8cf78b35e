import { type Command, InvalidArgumentError } from 'commander';
import { resolve } from 'node:path';
import { WaldenError } from '../../errors.ts';
import type { CloneRequest, PlanDocument, RestoreRequest } from '../../service/api.ts';
import type { OfflineWalden } from '../../service/offline.ts';
import type { ApiClient } from '../api-client.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addOfflineOptions, collect, connect, isOffline, type OfflineOptions, withRepository } from '../connection.ts';
import { example } from '../example.ts';
import { followJob, startJob } from '../follow-job.ts';
import { wholeNumber } from '../numbers.ts';
import { createProgressBar } from '../render/progress-bar.ts';
import { renderClone, renderStarted } from '../render/clone.ts';
import { addDeltaOptions, deltaRequest, tablespaceMap } from '../target-options.ts';

interface CloneOptions extends OfflineOptions {
  readonly to: string;
  readonly primary?: string;
  /** False: none. */
  readonly slot?: string | false;
  readonly delay?: number;
  readonly port?: number;
  readonly start?: true;
  readonly pgBin?: string;
  readonly wait: number;
  readonly backup?: string;
  readonly takeOver?: true;
  readonly tablespaceMap?: readonly string[];
  readonly delta?: true;
  readonly discardWal?: true;
  readonly workers?: number;
}

export function defineClone(command: Command, cli: Cli): void {
  addDeltaOptions(addCloneOptions(addOfflineOptions(command)))
    .argument('<cluster>', 'name of the cluster')
    .description(
      'Makes a standby: restores the newest backup, writes the settings with which it follows the archive and streams from the primary, and has a replication slot keep WAL for it there. Passwords come from a passfile (~/.pgpass).',
    )
    .addHelpText(
      'after',
      example(
        "walden clone main --to /var/lib/postgresql/17/main --primary 'host=db1 user=replicator' --start",
        "walden clone main --to /var/lib/postgresql/17/main --delta --primary 'host=db2 user=replicator' --start",
        "walden clone main --to /srv/standby --primary 'host=db1 user=replicator' --repository-path /mnt/repository",
        "walden clone main --to /srv/delayed --delay 4h --port 5433 --primary 'host=db1 user=replicator'",
      ),
    )
    .action(async (cluster: string) => {
      await clone(cli, cluster, command.optsWithGlobals<CloneOptions>());
    });
}

function addCloneOptions(command: Command): Command {
  return command
    .requiredOption('--to <directory>', 'the new data directory: absent or empty, or with --delta an old one')
    .option(
      '--primary <conninfo>',
      "the primary as the standby reaches it, without a password (default: the configuration's replication_conninfo, else conninfo)",
    )
    .option('--slot <name>', 'replication slot on the primary (default: walden_standby_<host>_<hash of the directory>)')
    .option('--no-slot', 'without a replication slot')
    .option('--delay <time>', 'apply each commit only after this time, like 30min or 4h', delaySeconds)
    .option('--port <number>', 'where the standby listens (default: as the primary)', wholeNumber(1, 65_535))
    .option('--start', 'start it with pg_ctl, and wait until it streams')
    .option('--pg-bin <directory>', 'where pg_ctl is (default: found by PATH, pg_config and the usual places)')
    .option('--wait <seconds>', 'how long --start waits', wholeNumber(1, 86_400), 60)
    .option('--backup <id>', 'backup to start from (default: the newest)')
    .option('--take-over', 'let it archive as this cluster once it is promoted (default: archive_mode = off)')
    .option('--tablespace-map <old=new>', 'put a tablespace elsewhere; may be repeated', collect)
    .option('--workers <number>', 'threads (default: the key workers)', wholeNumber(1, 256));
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3600, d: 86_400 };
/** recovery_min_apply_delay is a number of milliseconds in 31 bits. */
const LONGEST_DELAY_SECONDS = 2_147_483;

function delaySeconds(text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,9})\s*(s|min|h|d)$/.exec(text) ?? [];
  const seconds = Number(digits) * (SECONDS[unit] ?? Number.NaN);
  if (seconds <= LONGEST_DELAY_SECONDS) return seconds;
  throw new InvalidArgumentError('It must be a time like 90s, 30min, 4h or 7d, of 24 days at the most.');
}

async function clone(cli: Cli, cluster: string, options: CloneOptions): Promise<void> {
  const request = cloneRequest(options, cli.world.workingDirectory);
  if (options.start !== true) {
    const result = await cloned(cli, cluster, options, request, () => Promise.resolve());
    cli.result({ cluster, to: request.to, result, standby: null }, () => renderClone(result, false));
    return;
  }
  const { assertMayStart, startStandby } = await import('../../restore/start-standby.ts');
  const { findPgCtl } = await import('../../restore/find-pg-ctl.ts');
  assertMayStart();
  let pgCtl = '';
  const result = await cloned(cli, cluster, options, request, async (majorVersion) => {
    pgCtl = await findPgCtl({ majorVersion, directory: options.pgBin, environment: cli.world.environment });
  });
  if (!cli.json) cli.print(renderClone(result, true));
  const order = { pgCtl, dataDirectory: request.to, waitSeconds: options.wait };
  const standby = await startStandby({ ...order, clock: cli.clock, signal: cli.interruption() }).catch(
    (error: unknown) => {
      if (!(error instanceof WaldenError)) throw error;
      // What was made is told also where it does not stream.
      const { code, message, hint, details } = error;
      throw new WaldenError(code, message, { hint, details: { ...details, result }, cause: error });
    },
  );
  cli.result({ cluster, to: request.to, result, standby }, () => renderStarted(standby));
}

/** @throws USAGE */
export function cloneRequest(options: CloneOptions, workingDirectory: string): CloneRequest {
  const { to, primary, slot, delay, port, start, backup, takeOver, workers } = options;
  if (start !== true && options.pgBin !== undefined) {
    throw new WaldenError('USAGE', '--pg-bin has no meaning without --start', { hint: 'add --start' });
  }
  const map = tablespaceMap(options.tablespaceMap ?? [], workingDirectory);
  return {
    to: to === '' ? '' : resolve(workingDirectory, to),
    ...(primary === undefined ? {} : { primary }),
    ...(slot === undefined ? {} : { slot: slot === false ? null : slot }),
    ...(delay === undefined ? {} : { delaySeconds: delay }),
    ...(port === undefined ? {} : { port }),
    ...(start === undefined ? {} : { willStart: true }),
    ...(backup === undefined ? {} : { backup }),
    ...(map === undefined ? {} : { tablespaceMap: map }),
    ...(takeOver === undefined ? {} : { takeOver: true }),
    ...deltaRequest(options),
    ...(workers === undefined ? {} : { workers }),
  };
}

/** `prepare` is told the version of the cluster before anything is changed. */
async function cloned(
  cli: Cli,
  cluster: string,
  options: CloneOptions,
  request: CloneRequest,
  prepare: (majorVersion: number) => Promise<void>,
): Promise<unknown> {
  if (!isOffline(options)) return await cloneByService(cli, cluster, await connect(cli, options), request, prepare);
  return await withRepository(cli, options, (walden) => cloneOffline(cli, cluster, walden, request, prepare));
}

async function cloneByService(
  cli: Cli,
  cluster: string,
  client: ApiClient,
  request: CloneRequest,
  prepare: (majorVersion: number) => Promise<void>,
): Promise<unknown> {
  const plan = await client.post<PlanDocument>(clusterPath(cluster, 'plan'), planRequest(request));
  await prepare(versionOf(plan));
  const job = await startJob(cli, client, clusterPath(cluster, 'clones'), request);
  return (await followJob(cli, client, job)).result;
}

async function cloneOffline(
  cli: Cli,
  cluster: string,
  walden: OfflineWalden,
  request: CloneRequest,
  prepare: (majorVersion: number) => Promise<void>,
): Promise<unknown> {
  await prepare(versionOf(await walden.plan(cluster, planRequest(request))));
  const signal = cli.interruption();
  const bar = await createProgressBar(cli.world.stderr);
  try {
    return await walden.clone(cluster, request, {
      signal,
      onProgress: (progress) => {
        bar.show({ progress });
      },
    });
  } finally {
    bar.stop();
  }
}

function planRequest({ to, backup, tablespaceMap: map, delta }: CloneRequest): RestoreRequest {
  return {
    target: { kind: 'latest', ...(backup === undefined ? {} : { backup }) },
    ...{ to, standby: true },
    ...(map === undefined ? {} : { tablespaceMap: map }),
    ...(delta === undefined ? {} : { delta }),
  };
}

function versionOf({ backup }: PlanDocument): number {
  const version = backup.facts?.majorVersion;
  if (version !== undefined) return version;
  throw new WaldenError('INTERNAL', `the plan is of backup ${backup.id}, which is not complete`);
}
