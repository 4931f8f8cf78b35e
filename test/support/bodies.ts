import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import type { ObjectBody, Sha256Hex, StorageDriver } from '../../storage-drivers/driver.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';

/** Objects to store, and what is stored, in the fewest words. */

export function sha256Of(bytes: Uint8Array): Sha256Hex {
  return createHash('sha256').update(bytes).digest('hex') as Sha256Hex;
}

/** A body in memory that gives its bytes in several chunks. */
export function bodyOf(content: string | Uint8Array): ObjectBody {
  const bytes = Buffer.from(content);
  const middle = Math.floor(bytes.length / 2);
  return {
    size: bytes.length,
    sha256: () => Promise.resolve(sha256Of(bytes)),
    path: undefined,
    open: () => Readable.from([bytes.subarray(0, middle), bytes.subarray(middle)], { objectMode: false }),
  };
}

/** A body in a file. */
export function fileBody(path: string): ObjectBody {
  const bytes = readFileSync(path);
  return {
    size: bytes.length,
    sha256: () => Promise.resolve(sha256Of(bytes)),
    path,
    open: () => createReadStream(path),
  };
}

export async function store(driver: StorageDriver, key: string, content: string): Promise<void> {
  await driver.put(objectKey(key), bodyOf(content), { ifExists: 'fail' });
}

export async function collect(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

/** The whole object as text. */
export async function textOf(driver: StorageDriver, key: string): Promise<string> {
  return (await collect(await driver.get(objectKey(key)))).toString();
}

export async function keysOf(driver: StorageDriver, prefix = ''): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const { key } of driver.list(prefix)) keys.push(key);
  return keys;
}
