import { read } from 'node:fs';
import { promisify } from 'node:util';
import { systemErrorCode, WaldenError } from '../../src/errors.ts';
import { withDeadline } from '../../src/platform/deadline.ts';
import type { ObjectFile } from '../driver.ts';
import { HEAD_BYTES } from './payload.ts';

const readDescriptor = promisify(read);

/** Header and nonce of an object, and what follows them. */
export interface TakenHead {
  readonly head: Buffer;
  readonly rest: AsyncIterable<Uint8Array>;
}

/** @throws CHECKSUM_MISMATCH when there is not so much */
export async function takeHead(stream: AsyncIterable<Uint8Array>, what: string): Promise<TakenHead> {
  const iterator = stream[Symbol.asyncIterator]();
  const chunks: Uint8Array[] = [];
  for (let bytes = 0; bytes < HEAD_BYTES;) {
    const next = await iterator.next();
    if (next.done === true) throw new WaldenError('CHECKSUM_MISMATCH', `${what} is cut off: it has no whole header`);
    chunks.push(next.value);
    bytes += next.value.byteLength;
  }
  const start = Buffer.concat(chunks);
  async function* rest(): AsyncGenerator<Uint8Array> {
    yield start.subarray(HEAD_BYTES);
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
  }
  return { head: start.subarray(0, HEAD_BYTES), rest: rest() };
}

/** @throws STORAGE_UNAVAILABLE, STORAGE_SIZE */
export async function readHead({ descriptor, offset, readDeadline }: ObjectFile, what: string): Promise<Buffer> {
  const head = Buffer.alloc(HEAD_BYTES);
  const work = readDescriptor(descriptor, head, 0, HEAD_BYTES, offset).catch((cause: unknown) => {
    throw new WaldenError(
      'STORAGE_UNAVAILABLE',
      `unable to read ${what} (${systemErrorCode(cause) ?? String(cause)})`,
      {
        cause,
      },
    );
  });
  const { bytesRead } = await (readDeadline === undefined
    ? work
    : withDeadline(work, readDeadline.ms, readDeadline.late));
  if (bytesRead < HEAD_BYTES) throw new WaldenError('STORAGE_SIZE', `${what} gave ${bytesRead} bytes of its header`);
  return head;
}
