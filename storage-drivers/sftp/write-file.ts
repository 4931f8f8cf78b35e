import { WaldenError } from '../../src/errors.ts';
import type { ObjectBody } from '../driver.ts';
import { sendInParts, sendWhole } from '../upload/upload.ts';
import type { UploadMemory } from '../upload/upload-memory.ts';
import type { Handle, RemoteFiles } from './remote-files.ts';
import { SftpStatus, statusOf } from './sftp-errors.ts';

/** Read and hashed at once, and written in smaller requests. */
const PART_BYTES = 1024 * 1024;
/** With two on their way, the window that OpenSSH gives a channel is full; one more is being read. */
const CONCURRENT_PARTS = 3;

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
  const { signal, writeBytes } = files;
  await writeFile(files, path, body.size, async (handle) => {
    if (body.size <= writeBytes) {
      await sendWhole(body, { memory, signal }, ({ bytes }) => files.write(handle, bytes(), 0));
      return;
    }
    const parts = { partBytes: PART_BYTES, concurrency: CONCURRENT_PARTS };
    await sendInParts(body, { memory, signal, ...parts }, ({ bytes, offset }) =>
      writeAll(files, handle, bytes(), offset),
    );
  });
}

/** In as many requests as it takes, all of which have ended when this does. */
async function writeAll(files: RemoteFiles, handle: Handle, bytes: Buffer, offset: number): Promise<void> {
  const writes: Promise<void>[] = [];
  for (let at = 0; at < bytes.length; at += files.writeBytes) {
    writes.push(files.write(handle, bytes.subarray(at, at + files.writeBytes), offset + at));
  }
  const failed = (await Promise.allSettled(writes)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
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
