import { WaldenError } from '../../src/errors.ts';
import type { RemoteFiles } from './remote-files.ts';
import { SftpStatus, statusOf } from './sftp-errors.ts';

/**
 * Does what changes something below `root`. A server that can only say FAILURE is asked whether there is room.
 * @throws STORAGE_FULL, STORAGE_DENIED (a file system that is read-only), and what `work` throws
 */
export async function withReason<Result>(
  files: RemoteFiles,
  root: string,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (statusOf(error) !== SftpStatus.FAILURE) throw error;
    // Not every server tells.
    const room = await files.room(root).catch(() => undefined);
    if (room?.readOnly === true) {
      throw new WaldenError('STORAGE_DENIED', `the file system of ${root} is read-only on the server`, {
        hint: 'let it be mounted for writing',
        cause: error,
      });
    }
    if (room !== undefined && (room.bytes < files.writeBytes || room.files === 0)) {
      const left = room.files === 0 ? 'no file' : `${room.bytes} bytes`;
      throw new WaldenError('STORAGE_FULL', `there is room for ${left} on the server`, { cause: error });
    }
    throw error;
  }
}
