import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { WaldenError } from '../../src/errors.ts';
import type { ObjectBody } from '../driver.ts';

/** Writes the body into a new file and fsyncs it. @throws STORAGE_SIZE when it gave other bytes than it promised */
export async function copyBody(body: ObjectBody, path: string): Promise<void> {
  const handle = await open(path, 'wx', 0o640);
  try {
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of body.open() as AsyncIterable<Buffer>) {
      hash.update(chunk);
      size += chunk.byteLength;
      // writeFile on a handle goes on at its position and writes all, which a single write may not.
      await handle.writeFile(chunk);
    }
    const sha256 = hash.digest('hex');
    const expected = await body.sha256();
    if (size !== body.size || sha256 !== expected) {
      throw new WaldenError('STORAGE_SIZE', `the body gave ${size} other bytes than the ${body.size} it promised`, {
        details: { expected, found: sha256 },
      });
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}
