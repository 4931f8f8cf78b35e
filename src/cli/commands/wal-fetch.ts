import { existsSync } from 'node:fs';
import { copyFile, readFile, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { isWaldenError, systemErrorCode, toWaldenError, WaldenError } from '../../errors.ts';
import { bootId } from '../../platform/boot.ts';
import { parseWalName } from '../../postgres/wal-name.ts';
import { clusterName } from '../../repository/names.ts';
import { ApiClient } from '../api-client.ts';
import { clusterPath } from '../api-paths.ts';
import type { Cli } from '../cli.ts';
import { addOfflineOptions, isOffline, type OfflineOptions, readConfig, withRepository } from '../connection.ts';
import { example } from '../example.ts';
import { wholeNumber } from '../numbers.ts';

/** Above 125: PostgreSQL stops recovery rather than take it for the end of the archive (xlogarchive.c). */
const STOP_RECOVERY = 200;
const ABSENT = 1;
const DEFAULT_TIMEOUT_SECONDS = 60;
const PAUSE_MS = 500;

interface FetchOptions extends OfflineOptions {
  readonly timeout?: number;
}

interface Wanted {
  readonly cluster: string;
  readonly name: string;
  readonly target: string;
}

/** One attempt. @throws ARCHIVE_FILE_MISSING only when absence is proven */
type Attempt = (secondsLeft: number) => Promise<void>;

export function defineWalFetch(command: Command, cli: Cli): void {
  const standby = existsSync(join(cli.world.workingDirectory, 'standby.signal'));
  cli.failWith(() => {
    if (!standby) return STOP_RECOVERY;
    cli.remark('walden: this is NOT a proof that the file is absent; as a standby this server will ask again');
    return ABSENT;
  });
  addOfflineOptions(command)
    .argument('<cluster>', 'name of the cluster')
    .argument('<name>', "name of the WAL file: PostgreSQL's %f")
    .argument('<target>', "where to put it: PostgreSQL's %p")
    .option(
      '--timeout <seconds>',
      'how long to try (default: the key wal_fetch_timeout, else 60)',
      wholeNumber(1, 3600),
    )
    .description(
      'Fetches one WAL file, as bin/walden-fetch does without Node. Status 0: restored; 1: proven absent; 200: no answer could be had, and recovery stops. On a standby no answer is 1 with a message, since it asks again by itself.',
    )
    .addHelpText('after', example("restore_command = 'walden wal fetch main %f %p'"))
    .action(async (cluster: string, name: string, target: string) => {
      const wanted = { cluster, name: parseWalName(name).name, target: resolve(cli.world.workingDirectory, target) };
      // The first timeline has no history; the end of a promotion asks for it all the same, and must not be stopped there.
      if (wanted.name === '00000001.history') {
        cli.exitStatus = ABSENT;
        return;
      }
      try {
        await fetchWal(cli, wanted, command.optsWithGlobals<FetchOptions>());
      } catch (error) {
        // The normal end of an archive: nothing to say in PostgreSQL's log.
        if (!isWaldenError(error, 'ARCHIVE_FILE_MISSING')) throw error;
        cli.exitStatus = ABSENT;
      }
    });
}

async function fetchWal(cli: Cli, wanted: Wanted, options: FetchOptions): Promise<void> {
  if (isOffline(options)) {
    // Opened anew for each attempt: a store that is far may not even be there at first.
    const attempt: Attempt = () =>
      withRepository(cli, options, async (walden) => {
        const outcome = await walden.fetchWal(wanted.cluster, wanted.name, wanted.target);
        if (outcome === 'absent') throw absent(wanted);
      });
    await tryUntil(cli, attempt, options.timeout ?? DEFAULT_TIMEOUT_SECONDS);
    return;
  }
  const { attempt, timeoutSeconds } = await byService(cli, wanted, options);
  await tryUntil(cli, attempt, options.timeout ?? timeoutSeconds);
}

async function byService(
  cli: Cli,
  { cluster, name, target }: Wanted,
  options: FetchOptions,
): Promise<{ readonly attempt: Attempt; readonly timeoutSeconds: number }> {
  const config = options.socket === undefined ? await readConfig(cli, options) : undefined;
  const client = new ApiClient(options.socket ?? config?.service.socket ?? '');
  const ownCluster = config?.clusters.get(clusterName(cluster));
  if (ownCluster !== undefined && (await takePrefetched(ownCluster.spoolDirectory, name, target))) {
    return { attempt: () => Promise.resolve(), timeoutSeconds: 1 };
  }
  return {
    timeoutSeconds: ownCluster?.walFetchTimeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
    attempt: async (secondsLeft) => {
      const route = clusterPath(cluster, 'wal', name, 'fetch');
      const { path } = await client.post<{ readonly path: string }>(route, undefined, { deadlineSeconds: secondsLeft });
      if (await moveTo(path, target)) return;
      // Another server that recovers from the same spool took it.
      throw new WaldenError('STORAGE_UNAVAILABLE', `unable to move ${path} to ${target}: it is gone`);
    },
  };
}

/** As bin/walden-fetch does: only what was brought in this boot of the host. A spool that cannot be read brings nothing. */
async function takePrefetched(spool: string, name: string, target: string): Promise<boolean> {
  const identity = await readFile(join(spool, 'identity'), 'latin1').catch(() => '');
  return identity.endsWith(` ${await bootId()}\n`) && (await moveTo(join(spool, 'fetch', name), target));
}

/** Again while that can help and time is left. @throws the last failure */
async function tryUntil(cli: Cli, attempt: Attempt, timeoutSeconds: number): Promise<void> {
  const end = cli.clock.now().getTime() + timeoutSeconds * 1000;
  for (;;) {
    try {
      await attempt(Math.max(1, (end - cli.clock.now().getTime()) / 1000));
      return;
    } catch (error) {
      const failure = toWaldenError(error);
      if (!failure.retryable || cli.clock.now().getTime() + PAUSE_MS >= end) throw failure;
      // Jitter, so that several standbys do not ask in step.
      await cli.clock.sleep(PAUSE_MS * (1 + Math.random()));
    }
  }
}

function absent({ cluster, name }: Wanted): WaldenError {
  return new WaldenError('ARCHIVE_FILE_MISSING', `the repository has no ${name} of cluster ${cluster}`);
}

/** Whole or not at all; false when there is no such file. @throws LOCAL_IO */
async function moveTo(from: string, target: string): Promise<boolean> {
  try {
    await rename(from, target);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    if (systemErrorCode(error) !== 'EXDEV') throw moveFailed(from, target, error);
  }
  const staged = `${target}.walden`;
  try {
    await copyFile(from, staged);
    await rename(staged, target);
    await rm(from, { force: true });
    return true;
  } catch (error) {
    await rm(staged, { force: true });
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw moveFailed(from, target, error);
  }
}

function moveFailed(from: string, target: string, cause: unknown): WaldenError {
  if (isWaldenError(cause)) return cause;
  return new WaldenError('LOCAL_IO', `unable to move ${from} to ${target} (${systemErrorCode(cause) ?? 'unknown'})`, {
    cause,
  });
}
