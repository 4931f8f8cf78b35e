import { createHash } from 'node:crypto';
import { WaldenError } from '../../src/errors.ts';
import { type ByteChannelPort, receiveBytes } from '../../src/platform/byte-channel.ts';
import { asWorkerFunction, workerTask } from '../../src/platform/worker-pool.ts';

/** Worker functions for the tests of the pool and of the channel. */
export const hashChannelTask = workerTask<
  { port: ByteChannelPort; stopAfter?: number },
  { sha256: string; bytes: number }
>('hashChannel');
export const failTask = workerTask<string, never>('fail');

export const hashChannel = asWorkerFunction(async (input: { port: ByteChannelPort; stopAfter?: number }) => {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of receiveBytes(input.port)) {
    hash.update(chunk);
    bytes += chunk.byteLength;
    if (input.stopAfter !== undefined && bytes >= input.stopAfter) break;
  }
  return { sha256: hash.digest('hex'), bytes };
});

export const fail = asWorkerFunction((message: string): never => {
  throw new WaldenError('CHECKSUM_MISMATCH', message, { details: { where: 'worker' } });
});
