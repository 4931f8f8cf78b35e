import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { WaldenError } from '../errors.ts';
import type { ObjectBody, ObjectKey, Sha256Hex, StorageDriver } from '../../storage-drivers/driver.ts';

/** Size and hash of the stored bytes of one object. */
export interface StoredObject {
  readonly bytes: number;
  readonly sha256: Sha256Hex;
}

export function bodyOfBytes(bytes: Uint8Array): ObjectBody {
  return {
    size: bytes.byteLength,
    sha256: () => Promise.resolve(createHash('sha256').update(bytes).digest('hex') as Sha256Hex),
    path: undefined,
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
