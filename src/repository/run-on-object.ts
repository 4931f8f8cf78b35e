import { type FileHandle, open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { ObjectKey, StorageDriver } from '../../storage-drivers/driver.ts';
import { localIoError } from '../errors.ts';
import { createByteChannel } from '../platform/byte-channel.ts';
import type { ByteSource } from '../platform/byte-source.ts';
import { createReadingCells, whileReading } from '../platform/reading-cells.ts';
import type { WorkerPool, WorkerTask } from '../platform/worker-pool.ts';

/** An object, or a part of it. */
export interface ObjectPart {
  readonly driver: StorageDriver;
  readonly key: ObjectKey;
  readonly offset?: number;
  readonly length?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a task of the workers on stored bytes. A worker reads a file itself: sent from thread to thread, the bytes would be
 * copied, and their memory would keep the garbage collectors of both threads busy.
 * @throws what the task throws, and what the driver's `get` throws
 */
export async function runOnObject<Input extends { readonly bytes: ByteSource }, Output>(
  pool: WorkerPool,
  task: WorkerTask<Input, Output>,
  { driver, key, ...options }: ObjectPart,
  inputOf: (bytes: ByteSource) => Input,
): Promise<Output> {
  if (driver.openFile !== undefined) {
    const file = await driver.openFile(key, options);
    const { descriptor, offset, length, sealed, readDeadline } = file;
    const cells = createReadingCells();
    const work = pool
      .run(task, inputOf({ descriptor, offset, length, sealed, what: key, cells }))
      // Open until the worker has ended, however long after it was given up.
      .finally(() => file.close());
    return await whileReading(cells, work, { signal: options.signal, deadline: readDeadline });
  }
  const stream: Readable = await driver.get(key, options);
  const channel = createByteChannel();
  const work = pool.run(task, inputOf(channel.receiver), { transfer: [channel.receiver] });
  // The worker hears of a failing source through the channel and fails with its error.
  const [outcome] = await Promise.allSettled([work, channel.send(stream as AsyncIterable<Uint8Array>)]);
  stream.destroy();
  if (outcome.status === 'rejected') throw outcome.reason;
  return outcome.value;
}

/** The same of a file of this host that nobody writes any more. @throws LOCAL_IO when it cannot be opened */
export async function runOnFile<Input extends { readonly bytes: ByteSource }, Output>(
  pool: WorkerPool,
  task: WorkerTask<Input, Output>,
  { path, bytes: length, signal }: { readonly path: string; readonly bytes: number; readonly signal: AbortSignal },
  inputOf: (bytes: ByteSource) => Input,
): Promise<Output> {
  let file: FileHandle;
  try {
    file = await open(path);
  } catch (error) {
    throw localIoError(error, `unable to open ${path}`);
  }
  const cells = createReadingCells();
  const source = { descriptor: file.fd, offset: 0, length, what: path, cells };
  const work = pool.run(task, inputOf(source)).finally(() => file.close());
  return await whileReading(cells, work, { signal });
}
