import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isWaldenError, localIoError } from '../../errors.ts';
import { sqlstateOf } from '../../postgres/replication/connection.ts';
import { DONE_BYTES } from '../pack-input.ts';
import type { CopiedCluster, CopyContext } from '../backup-source.ts';
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
}

/** What a server without zstd says to COMPRESSION (basebackup.c): the option is wrong, or is not supported. */
const REFUSES_COMPRESSION = ['42601', '0A000', '22023'];
const STANDBY_HINT =
  'from a standby the WAL that its primary writes next is needed too: set archive_timeout there, or run on it: select pg_switch_wal()';

/**
 * A base backup over the replication protocol. With compression that is up to Walden it begins without, and anew with it once
 * it shows that the network is what it waits for; a server that cannot compress goes on without. @throws as OpenedSource.copy
 */
export async function copyStream(context: CopyContext, server: StreamServer): Promise<CopiedCluster> {
  const tell = (message: string): void => {
    context.deps.log.warn({ cluster: context.request.cluster.name, backup: context.id }, message);
  };
  let plan = firstPlan(server, tell);
  for (let number = 1; ; number += 1) {
    const directory = join(context.directory, `attempt-${number}`);
    await makeDirectory(directory);
    try {
      const copied = await new StreamAttempt({ ...context, directory }, server, plan).run();
      if (copied !== 'slow link') return server.isStandby ? { ...copied, walHint: STANDBY_HINT } : copied;
      context.deps.log.info(
        { cluster: context.request.cluster.name, backup: context.id },
        'the network is what this backup waits for: it begins anew, compressed by PostgreSQL',
      );
      plan = { compression: 'zstd', watchesLink: false };
    } catch (error) {
      if (plan.compression === 'none' || !isRefusedCompression(error)) throw error;
      tell('PostgreSQL was built without zstd: the backup is not compressed on its way');
      plan = { compression: 'none', watchesLink: false };
    }
    await rm(directory, { recursive: true, force: true });
    Atomics.store(context.control, DONE_BYTES, 0n);
  }
}

/** How one attempt goes about it. */
export interface AttemptPlan {
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
