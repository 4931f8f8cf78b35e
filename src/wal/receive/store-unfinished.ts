import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectBody, ObjectKey } from '../../../storage-drivers/driver.ts';
import type { Lsn } from '../../postgres/lsn.ts';
import { parseWalName, segmentNumberOfName, type WalFileName } from '../../postgres/wal-name.ts';
import { unfinishedKey } from '../../repository/keys.ts';
import type { Repository } from '../../repository/repository.ts';
import type { ArchiveContext } from '../archive-context.ts';
import { stageWalObject } from '../store.ts';
import { readSpooledTask } from './read-spooled-task.ts';

export interface UnfinishedFile {
  readonly segment: WalFileName;
  readonly path: string;
  /** As ReadSpooledInput. */
  readonly usableBytes: number | undefined;
}

/** Puts one object into one repository; the body is for this call. */
export type PutUnfinished = (repository: Repository, key: ObjectKey, body: ObjectBody) => Promise<void>;

/**
 * Stores a segment as far as it has come in every required repository, filled up with zeros.
 * @returns where its last whole record ends; undefined when the file was finished, or put aside, in this moment
 * @throws FORMAT_INVALID, SERVER_MISMATCH, LOCAL_IO, STORAGE_FULL, and what `put` throws
 */
export async function storeUnfinished(
  context: ArchiveContext,
  { segment, path: source, usableBytes }: UnfinishedFile,
  put: PutUnfinished,
): Promise<Lsn | undefined> {
  const { identity, pool, cluster, required } = context;
  const { name, timeline } = parseWalName(`${segment}.partial`);
  const path = join(context.stagingDirectory, `${name}.${randomUUID()}`);
  try {
    const read = await pool.run(readSpooledTask, {
      ...{ source, usableBytes, identity, timeline },
      ...{ segment: segmentNumberOfName(segment, identity.segmentBytes), isWhole: false, xid: undefined },
      target: { path, owner: undefined, isLasting: false },
    });
    if (read === undefined) return undefined;
    const key = unfinishedKey(cluster, segment, read.end);
    await stageWalObject(context, required, { name, source: path }, async (_output, _archivedAt, bodyOf) => {
      await all(required.map((repository) => put(repository, key, bodyOf())));
    });
    return read.end;
  } finally {
    await rm(path, { force: true });
  }
}

/** @throws the first of their errors, when all have ended: they share what is staged */
async function all(work: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(work)) if (outcome.status === 'rejected') throw outcome.reason;
}
