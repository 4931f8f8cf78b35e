import { createHash, randomBytes } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { isWaldenError, WaldenError } from '../../../src/errors.ts';
import { createByteChannel } from '../../../src/platform/byte-channel.ts';
import { createWorkerPool } from '../../../src/platform/worker-pool.ts';
import { failTask, hashChannelTask } from '../../support/channel-worker.ts';

const pool = createWorkerPool(new URL('../../support/channel-worker.js', import.meta.url), 2);
afterAll(() => pool.close());

// eslint-disable-next-line @typescript-eslint/require-await -- a source that needs no waiting
async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe('running a task on a worker', () => {
  it('keeps the class, code and details of an error', async () => {
    const error = await pool.run(failTask, 'damaged').catch((reason: unknown) => reason);
    expect(isWaldenError(error, 'CHECKSUM_MISMATCH')).toBe(true);
    expect(error).toMatchObject({ message: 'damaged', details: { where: 'worker' } });
  });
});

describe('sending bytes to a worker', () => {
  it('delivers every byte in order, many more chunks than credits', async () => {
    const bytes = randomBytes(3_000_001);
    const channel = createByteChannel();
    const work = pool.run(hashChannelTask, { port: channel.receiver }, { transfer: [channel.receiver] });
    await channel.send(chunksOf(bytes, 10_007));
    expect(await work).toEqual({ bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });
  });

  it('leaves the memory of a chunk that is a part of a larger buffer to its owner', async () => {
    const bytes = Buffer.alloc(1000, 7);
    const channel = createByteChannel();
    const work = pool.run(hashChannelTask, { port: channel.receiver }, { transfer: [channel.receiver] });
    await channel.send(chunksOf(bytes, 100));
    await work;
    expect(bytes.every((byte) => byte === 7)).toBe(true);
  });

  it('lets the worker fail with the error of the source', async () => {
    const channel = createByteChannel();
    const work = pool.run(hashChannelTask, { port: channel.receiver }, { transfer: [channel.receiver] });
    // eslint-disable-next-line @typescript-eslint/require-await -- a source that needs no waiting
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(10);
      throw new WaldenError('STORAGE_SIZE', 'cut off');
    };
    const [received, sent] = await Promise.allSettled([work, channel.send(broken())]);
    expect(received).toMatchObject({ status: 'rejected', reason: { code: 'STORAGE_SIZE', message: 'cut off' } });
    expect(sent.status).toBe('rejected');
  });

  it('does not block the sender when the worker has had enough', async () => {
    const channel = createByteChannel();
    const work = pool.run(hashChannelTask, { port: channel.receiver, stopAfter: 1 }, { transfer: [channel.receiver] });
    await channel.send(chunksOf(randomBytes(1_000_000), 1000));
    expect((await work).bytes).toBe(1000);
  });
});
