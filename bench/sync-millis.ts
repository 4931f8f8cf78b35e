import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { newDirectory, removeDirectory } from '../test/support/sandbox.ts';
import { median } from './report.ts';

const WRITES = 40;
/** About what the record of one segment adds to the catalog's log. */
const BYTES = 24 * 1024;

/** What the disk takes for a little that is appended to a file, on average: no catalog can be faster. */
export async function syncMillis(): Promise<number> {
  const directory = newDirectory('sync');
  const handle = await open(join(directory, 'log'), 'w');
  try {
    const took: number[] = [];
    for (let write = 0; write < WRITES; write += 1) {
      await handle.write(Buffer.alloc(BYTES, write));
      const begin = performance.now();
      await handle.sync();
      took.push(performance.now() - begin);
    }
    return median(took);
  } finally {
    await handle.close();
    removeDirectory(directory);
  }
}
