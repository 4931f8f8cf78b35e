import type { Readable } from 'node:stream';
import { isWaldenError, WaldenError } from '../../src/errors.ts';
import type { GetOptions, ObjectInfo, ObjectKey } from '../driver.ts';
import { exactly } from '../exact-stream.ts';
import type { S3Call } from './s3-bucket.ts';
import type { S3Name, S3Requests } from './s3-requests.ts';

/** The contract's `get` of one object. `stat` is asked where only the size says what is right. */
export async function readObject(
  requests: S3Requests,
  { key, ...name }: S3Name & { readonly key: ObjectKey },
  { offset = 0, length, ...call }: GetOptions & S3Call,
  stat: () => Promise<ObjectInfo>,
): Promise<Readable> {
  if (length === 0) return nothingOf(await stat(), offset);
  const wanted = rangeOf(offset, length);
  const found = await requests.get(name, wanted, call).catch(async (error: unknown) => {
    // What begins just at the end of an object is empty for us, and cannot be satisfied in the words of HTTP.
    if (length !== undefined || !isWaldenError(error, 'STORAGE_SIZE')) throw error;
    return nothingOf(await stat(), offset);
  });
  if (!('body' in found)) return found;
  const told = wanted === undefined || found.range?.startsWith(`bytes ${offset}-`) === true;
  if (!told || found.size !== (length ?? found.size)) {
    found.body.destroy();
    throw told
      ? new WaldenError(
          'STORAGE_SIZE',
          `unable to ${call.attempted}: it gave ${found.size} bytes from ${offset}, wanted were ${length ?? 'all'}`,
        )
      : new WaldenError(
          'STORAGE_UNAVAILABLE',
          `unable to ${call.attempted}: the store gave other bytes than asked for`,
        );
  }
  return exactly(found.body, found.size, key, (error) => requests.readingError(error, call), call.signal);
}

function nothingOf({ key, size }: ObjectInfo, offset: number): Readable {
  if (offset > size) throw new WaldenError('STORAGE_SIZE', `${key} has ${size} bytes, wanted was from ${offset}`);
  return exactly([], 0, key);
}

function rangeOf(offset: number, length: number | undefined): string | undefined {
  if (length !== undefined) return `bytes=${offset}-${offset + length - 1}`;
  return offset === 0 ? undefined : `bytes=${offset}-`;
}
