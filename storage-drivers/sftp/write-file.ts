import { WaldenError } from '../../src/errors.ts';
import type { ObjectBody } from '../driver.ts';
import { sendInParts, sendWhole, type UploadMemory } from '../upload.ts';
import type { Handle, RemoteFiles } from './remote-files.ts';
import { requestsInFlight } from './requests-in-flight.ts';
import { SftpStatus, statusOf } from './sftp-errors.ts';

/**
 * Writes a body into a new file and makes it durable.
 * @throws STORAGE_SIZE when the body gave other bytes than it promised, STORAGE_UNAVAILABLE when the server has others
 */
export async function writeBody(
  files: RemoteFiles,
  path: string,
  body: ObjectBody,
  memory: UploadMemory,
): Promise<void> {
  const { signal, writeBytes: partBytes } = files;
  await writeFile(files, path, body.size, async (handle) => {
    if (body.size <= partBytes) {
      await sendWhole(body, { memory, signal }, (bytes) => files.write(handle, bytes, 0));
      return;
    }
    const concurrency = requestsInFlight(partBytes);
    await sendInParts(body, { memory, signal, partBytes, concurrency }, ({ bytes, offset }) =>
      files.write(handle, bytes, offset),
    );
  });
}

/** Writes a few bytes into a new file and makes it durable. */
export async function writeBytes(files: RemoteFiles, path: string, bytes: Buffer): Promise<void> {
  await writeFile(files, path, bytes.length, (handle) => files.write(handle, bytes, 0));
}

async function writeFile(
  files: RemoteFiles,
  path: string,
  size: number,
  write: (handle: Handle) => Promise<void>,
): Promise<void> {
  const handle = await files.open(path, 'write');
  try {
    await write(handle);
    const [found] = await Promise.all([files.statOpen(handle), syncIfPossible(files, handle)]);
    if (found.size !== size) {
      throw new WaldenError('STORAGE_UNAVAILABLE', `the server has ${found.size} bytes instead of ${size}`);
    }
  } catch (error) {
    files.close(handle).catch(() => undefined);
    throw error;
  }
  await files.close(handle);
}

/** A server without fsync@openssh.com promises nothing, which docs/stores/sftp.md says. */
async function syncIfPossible(files: RemoteFiles, handle: Handle): Promise<void> {
  try {
    await files.sync(handle);
  } catch (error) {
    if (statusOf(error) !== SftpStatus.OP_UNSUPPORTED) throw error;
  }
}
