import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { DistantDigests } from '../../../storage-drivers/upload/hash-thread.ts';
import { sha256Of } from '../../support/bodies.ts';

const MEBIBYTE = 1024 ** 2;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** What this thread has no more is free after the second time: the first one only finds it. */
function usedBytes(): number {
  collectGarbage();
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

/** Hashes memory that nobody has afterwards. */
async function hashOnce(bytes: number): Promise<string | undefined> {
  const digests = new DistantDigests({ whole: ['sha256'] });
  await digests.add(Buffer.from(new SharedArrayBuffer(bytes)));
  const { sha256 } = await digests.finish();
  digests.forget();
  return sha256;
}

describe('the thread that hashes uploads', () => {
  it('keeps no memory that it has hashed', async () => {
    expect(await hashOnce(MEBIBYTE)).toBe(sha256Of(Buffer.alloc(MEBIBYTE)));
    const before = usedBytes();
    for (let count = 0; count < 200; count += 1) await hashOnce(MEBIBYTE);
    // What it was last told of may not be forgotten yet.
    expect(usedBytes() - before).toBeLessThan(8 * MEBIBYTE);
  });
});
