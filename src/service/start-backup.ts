import type { BackupRecord } from '../../catalog/catalog.ts';
import type { BackupRequest } from '../backup/backup-deps.ts';
import { takeBackup } from '../backup/take-backup.ts';
import { isWaldenError, type WaldenError } from '../errors.ts';
import { backupDocument } from './answers/documents.ts';
import type { ClusterRoom } from './cluster-room.ts';
import type { JobControls, JobView } from './jobs.ts';
import type { ServiceRooms } from './rooms.ts';

/** What is not said is as the configuration has it. */
export interface BackupWish {
  readonly workers?: number | undefined;
  readonly compressionLevel?: number | undefined;
  readonly label?: string | undefined;
  readonly parent?: BackupRequest['parent'];
  /** Told when there is nothing that an incremental backup could build on; a full one is taken then. Without it that fails. */
  readonly becameFull?: (why: WaldenError) => Promise<void>;
}

/** There is no parent, or it is not what it should be. */
const WITHOUT_PARENT = ['NOT_FOUND', 'BACKUP_INVALID', 'STORAGE_OBJECT_MISSING'] as const;

/** A job that takes a base backup. */
export async function startBackup(
  { deps, jobs }: Pick<ServiceRooms, 'deps' | 'jobs'>,
  room: ClusterRoom,
  wish: BackupWish,
): Promise<JobView> {
  return await jobs.start('backup', room.config.name, async (controls) => {
    await room.assertWritable();
    const { identity } = await room.context();
    const { config, ...rest } = deps;
    const backupDeps = { ...rest, repositories: room.required, stagingDirectory: room.stagingDirectory };
    const request = {
      cluster: room.ordered,
      identity,
      workers: wish.workers ?? config.service.workers,
      compressionLevel: wish.compressionLevel ?? room.config.backupCompressionLevel,
      label: wish.label ?? 'walden',
      parent: wish.parent,
    };
    const take = (parent: BackupRequest['parent']): Promise<readonly BackupRecord[]> =>
      takeBackup(backupDeps, { ...request, parent }, controls);
    const records = await takeOrFall(take, wish, controls);
    room.wakeFillers();
    return { backups: records.map((record) => backupDocument(record)) };
  });
}

async function takeOrFall(
  take: (parent: BackupRequest['parent']) => Promise<readonly BackupRecord[]>,
  { parent, becameFull }: BackupWish,
  { signal }: JobControls,
): Promise<readonly BackupRecord[]> {
  try {
    return await take(parent);
  } catch (error) {
    const mayFall = parent !== undefined && becameFull !== undefined && !signal.aborted;
    if (!mayFall || !isWaldenError(error, ...WITHOUT_PARENT)) throw error;
    await becameFull(error);
    return await take(undefined);
  }
}
