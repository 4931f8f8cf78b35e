import { createHash } from 'node:crypto';
import { createReadStream, read } from 'node:fs';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { systemErrorCode, WaldenError } from '../errors.ts';
import type { ObjectBody, ObjectFile, ObjectKey, Sha256Hex, StorageDriver } from '../../storage-drivers/driver.ts';
import { withDeadline } from '../platform/deadline.ts';
import { openPart } from '../platform/sealed-chunks.ts';

const readDescriptor = promisify(read);

/** Size and hash of the stored bytes of one object. */
export interface StoredObject {
  readonly bytes: number;
  readonly sha256: Sha256Hex;
}

/** `sha256`: of these bytes, where it is known already. */
export function bodyOfBytes(bytes: Uint8Array, sha256?: Sha256Hex): ObjectBody {
  const hash = (): Sha256Hex => createHash('sha256').update(bytes).digest('hex') as Sha256Hex;
  return {
    size: bytes.byteLength,
    sha256: () => Promise.resolve((sha256 ??= hash())),
    path: undefined,
    bytes: () => bytes,
    open: () => Readable.from([bytes], { objectMode: false }),
  };
}

/** A staged file, fsynced, that nobody writes any more. `sha256` is asked when a driver wants to know. */
export function bodyOfFile(path: string, size: number, sha256: () => Promise<Sha256Hex>): ObjectBody {
  return { size, sha256, path, open: () => createReadStream(path) };
}

/** The same, of what is known already. */
export function bodyOfStored(path: string, { bytes, sha256 }: StoredObject): ObjectBody {
  return bodyOfFile(path, bytes, () => Promise.resolve(sha256));
}

/**
 * A part of an object that is known to be small.
 * @throws STORAGE_SIZE when the object is shorter, and what the driver's `get` throws
 */
export async function readSmallPart(
  driver: StorageDriver,
  key: ObjectKey,
  part: { readonly offset: number; readonly length: number },
  signal?: AbortSignal,
): Promise<Buffer> {
  if (driver.openFile === undefined) {
    return await bytesOfStream((await driver.get(key, { ...part, signal })) as AsyncIterable<Buffer>);
  }
  const file = await driver.openFile(key, { ...part, signal });
  // Open until the read has ended, however long after it was given up: its descriptor must not become another file's.
  const work = readFile(key, file).finally(() => file.close());
  const { readDeadline } = file;
  return await (readDeadline === undefined ? work : withDeadline(work, readDeadline.ms, readDeadline.late));
}

/** Without a stream, which costs several times what the reading of a few thousand bytes does. */
async function readFile(key: ObjectKey, { descriptor, offset, length, sealed }: ObjectFile): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  for (let done = 0; done < length;) {
    let count;
    try {
      ({ bytesRead: count } = await readDescriptor(descriptor, bytes, done, length - done, offset + done));
    } catch (cause) {
      const reason = systemErrorCode(cause) ?? String(cause);
      throw new WaldenError('STORAGE_UNAVAILABLE', `unable to read ${key} (${reason})`, { cause });
    }
    if (count === 0) throw new WaldenError('STORAGE_SIZE', `${key} gave ${done} bytes instead of ${length}`);
    done += count;
  }
  return sealed === undefined ? bytes : openPart(bytes, sealed, key);
}

async function bytesOfStream(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/**
 * A whole object that is known to be small.
 * @throws FORMAT_INVALID when it is longer than `maxBytes`, and what the driver's `get` throws.
 */
export async function readSmallObject(
  driver: StorageDriver,
  key: ObjectKey,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of (await driver.get(key, { signal })) as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw new WaldenError('FORMAT_INVALID', `${key} is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** An object of another store, whose bytes are known: fetched anew each time that it is opened. */
export function bodyOfObject(
  driver: StorageDriver,
  key: ObjectKey,
  { bytes, sha256 }: StoredObject,
  signal?: AbortSignal,
): ObjectBody {
  async function* read(): AsyncGenerator<Uint8Array, void, undefined> {
    yield* (await driver.get(key, { signal })) as AsyncIterable<Uint8Array>;
  }
  return {
    size: bytes,
    sha256: () => Promise.resolve(sha256),
    path: undefined,
    open: () => Readable.from(read(), { objectMode: false }),
  };
}

/** The hash of an object as it is stored. @throws as the driver's `get` */
export async function hashObject(driver: StorageDriver, key: ObjectKey, signal?: AbortSignal): Promise<Sha256Hex> {
  const hash = createHash('sha256');
  for await (const chunk of (await driver.get(key, { signal })) as AsyncIterable<Uint8Array>) hash.update(chunk);
  return hash.digest('hex') as Sha256Hex;
}
