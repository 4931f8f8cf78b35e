import fs from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { devNull } from 'node:os';
import { DurableImage } from './durable-image.ts';

/**
 * Loaded into a process before its program: every fsync of a file handle below the directory that a variable names, and every
 * write that is one as well, goes into a durable image, once it has worked and before the program hears of it.
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
        const path = pathOf(this);
        const synced = image.contains(path) ? image.syncing(path) : undefined;
        await own.call(this);
        synced?.();
      },
    });
  }
  for (const name of ['write', 'writev'] as const) {
    const own = Object.getOwnPropertyDescriptor(prototype, name)?.value as (...words: never[]) => Promise<unknown>;
    Object.assign(prototype, {
      async [name](this: FileHandle, ...words: never[]): Promise<unknown> {
        const result = await own.apply(this, words);
        const path = pathOf(this);
        // One after the other on a handle: nothing else was written meanwhile.
        if (image.contains(path) && isSynchronous(this)) image.syncing(path)();
        return result;
      },
    });
  }
}

function pathOf({ fd }: FileHandle): string {
  return fs.readlinkSync(`/proc/self/fd/${fd}`);
}

/** As proc(5) tells: the flags of the file in octal. */
function isSynchronous({ fd }: FileHandle): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
  return (parseInt(flags, 8) & fs.constants.O_DSYNC) === fs.constants.O_DSYNC;
}

const wanted = process.env[VARIABLE];
if (wanted !== undefined) await record(new DurableImage(...(JSON.parse(wanted) as [root: string, place: string])));
