import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isWaldenError, localIoError, WaldenError } from '../../errors.ts';
import { sqlstateOf } from '../../postgres/replication/connection.ts';
import { DONE_BYTES, STOP } from '../pack-input.ts';
import type { CopiedCluster, CopyContext } from '../backup-source.ts';
import type { ParentBackup } from '../choose-parent.ts';
import { stageParentManifest } from '../stage-parent-manifest.ts';
import { StreamAttempt } from './stream-attempt.ts';

/** A server that base backups come from, as it was found. */
export interface StreamServer {
  /** May hold a password. */
  readonly conninfo: string;
  /** Which of its hosts. */
  readonly hostIndex: number;
  readonly isStandby: boolean;
  readonly canCompress: boolean;
  /** Whether data pages have checksums. */
  readonly dataChecksums: boolean;
  /** Blocks in one file of a relation. */
  readonly segmentBlocks: number;
  readonly compression: 'auto' | 'off' | 'zstd';
  readonly maxRateKilobytes: number | undefined;
  /** What to ask for an increment of. */
  readonly parent: ParentBackup | undefined;
}

/** What a server without zstd says to COMPRESSION (basebackup.c): the option is wrong, or is not supported. */
const REFUSES_COMPRESSION = ['42601', '0A000', '22023'];
/** SQLSTATE: summaries are missing, or come too late. */
const NOT_IN_STATE = '55000';
const STANDBY_HINT =
  'from a standby the WAL that its primary writes next is needed too: set archive_timeout there, or run on it: select pg_switch_wal()';

/** A backup of a standby begins at its last restartpoint: without a new one since, before the end of the one to build on. */
const EARLY_HINT =
  'run checkpoint on the primary, and try again once the standby has replayed that: it begins at the last one';

/**
 * A base backup over the replication protocol. With compression that is up to Walden it begins without, and anew with it once
 * it shows that the network is what it waits for; a server that cannot compress goes on without. @throws as OpenedSource.copy
 */
export async function copyStream(context: CopyContext, server: StreamServer): Promise<CopiedCluster> {
  const tell = (message: string): void => {
    context.deps.log.warn({ cluster: context.request.cluster.name, backup: context.id }, message);
  };
  let plan = firstPlan(server, tell);
  const parentManifest = await stageParent(context, server);
  for (let number = 1; ; number += 1) {
    const directory = join(context.directory, `attempt-${number}`);
    await makeDirectory(directory);
    try {
      const copied = await new StreamAttempt({ ...context, directory }, server, { ...plan, parentManifest }).run();
      if (copied !== 'slow link') return server.isStandby ? { ...copied, walHint: STANDBY_HINT } : copied;
      context.deps.log.info(
        { cluster: context.request.cluster.name, backup: context.id },
        'the network is what this backup waits for: it begins anew, compressed by PostgreSQL',
      );
      plan = { compression: 'zstd', watchesLink: false };
    } catch (error) {
      if (plan.compression === 'none' || !isRefusedCompression(error)) throw ofIncrement(error, context, server);
      tell('PostgreSQL was built without zstd: the backup is not compressed on its way');
      plan = { compression: 'none', watchesLink: false };
    }
    await rm(directory, { recursive: true, force: true });
    context.signal.throwIfAborted();
    Atomics.store(context.control, DONE_BYTES, 0n);
    Atomics.store(context.control, STOP, 0n);
  }
}

async function stageParent(context: CopyContext, { parent }: StreamServer): Promise<string | undefined> {
  if (parent === undefined) return undefined;
  const path = join(context.directory, 'parent_manifest');
  await stageParentManifest(context.deps, parent, path, context.signal);
  return path;
}

/** What the server says to an increment that it cannot give (basebackup_incremental.c), with what to do about it. */
function ofIncrement(error: unknown, { request }: CopyContext, { parent, isStandby }: StreamServer): unknown {
  if (parent === undefined || !isWaldenError(error, 'SERVER_QUERY')) return error;
  const full = `take a full backup: walden backup ${request.cluster.name}`;
  const { message, details } = error;
  if (sqlstateOf(error) === NOT_IN_STATE) {
    const longer = `${full}; that the next ones find the WAL summaries, keep these longer: wal_summary_keep_time`;
    const hint = isStandby ? `${EARLY_HINT}; if summaries are missing, ${longer}` : longer;
    return new WaldenError('SERVER_SETTINGS', message, { hint, details, cause: error });
  }
  return new WaldenError(error.code, message, { hint: full, details, cause: error });
}

/** How one attempt goes about it. */
export interface AttemptPlan {
  /** See ReaderSetup. */
  readonly parentManifest?: string | undefined;
  readonly compression: 'none' | 'zstd';
  /** Whether it ends when the server had better compress. */
  readonly watchesLink: boolean;
}

function firstPlan({ compression, canCompress }: StreamServer, tell: (message: string) => void): AttemptPlan {
  if (compression === 'zstd' && !canCompress) tell('PostgreSQL compresses backups from version 15 on: this one is not');
  if (!canCompress || compression === 'off') return { compression: 'none', watchesLink: false };
  return compression === 'zstd'
    ? { compression: 'zstd', watchesLink: false }
    : { compression: 'none', watchesLink: true };
}

function isRefusedCompression(error: unknown): boolean {
  return isWaldenError(error, 'SERVER_QUERY') && REFUSES_COMPRESSION.includes(sqlstateOf(error) ?? '');
}

async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory);
  } catch (error) {
    throw localIoError(error, `unable to make the staging directory ${directory}`);
  }
}
