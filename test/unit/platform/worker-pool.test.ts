import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { isWaldenError, WaldenError } from '../../../src/errors.ts';
import { createByteChannel } from '../../../src/platform/byte-channel.ts';
import { createWorkerPool } from '../../../src/platform/worker-pool.ts';
import { failTask, hashChannelTask } from '../../support/channel-worker.ts';
import { newDirectory } from '../../support/sandbox.ts';
import { runProgram } from '../../support/walden.ts';

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

describe('closing a pool', () => {
  it('while its threads load does not end the process', async () => {
    const directory = newDirectory('modules');
    const names = Array.from({ length: 2000 }, (_, index) => `name${index}`);
    const write = (file: string, text: string): void => {
      writeFileSync(join(directory, file), text);
    };
    // Many names through many modules: what takes long is to link them.
    write('0.mjs', names.map((name) => `export const ${name} = 0;`).join('\n'));
    for (let link = 1; link <= 100; link += 1) write(`${link}.mjs`, `export * from './${link - 1}.mjs';`);
    const task = 'export const task = () => ({ ok: true, value: name0 });';
    write('entry.mjs', `import { ${names.join(', ')} } from './100.mjs';\n${task}`);
    const child = fileURLToPath(new URL('../../support/close-pools.js', import.meta.url));
    const entry = pathToFileURL(join(directory, 'entry.mjs')).href;
    expect(await runProgram(process.execPath, [child, entry])).toEqual({ status: 0, stdout: '', stderr: '' });
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
