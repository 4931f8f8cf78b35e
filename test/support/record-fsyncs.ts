import fs from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { devNull } from 'node:os';
import { DurableImage } from './durable-image.ts';

/**
 * Loaded into a process before its program: every fsync of a file handle below the directory that a variable names goes into
 * a durable image as well, once it has worked and before the program hears of it.
 */
const VARIABLE = 'WALDEN_TEST_FSYNCS';

/** Words before a program whose fsyncs below `root` are to be noted at `place`. */
export function recordingFsyncs(root: string, place: string): readonly string[] {
  const preload = `NODE_OPTIONS=--import=${import.meta.url}`;
  return ['/usr/bin/env', preload, `${VARIABLE}=${JSON.stringify([root, place])}`];
}

async function record(image: DurableImage): Promise<void> {
  const handle = await open(devNull);
  await handle.close();
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  for (const name of ['sync', 'datasync'] as const) {
    const own = Object.getOwnPropertyDescriptor(prototype, name)?.value as FileHandle['sync'];
    Object.assign(prototype, {
      async [name](this: FileHandle): Promise<void> {
        const path = fs.readlinkSync(`/proc/self/fd/${this.fd}`);
        const synced = image.contains(path) ? image.syncing(path) : undefined;
        await own.call(this);
        synced?.();
      },
    });
  }
}

const wanted = process.env[VARIABLE];
if (wanted !== undefined) await record(new DurableImage(...(JSON.parse(wanted) as [root: string, place: string])));
