import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isWaldenError } from '../../../src/errors.ts';
import { restoreCluster } from '../../../src/restore/restore-cluster.ts';
import { MARKER } from '../../../src/restore/target-directory.ts';
import { assertRestored, CLUSTER, shortStory } from '../../support/chain-story.ts';
import { type Aftermath, AFTERMATHS, Disk } from '../../support/crash/disk.ts';
import { atEveryStep, untilDeath } from '../../support/crash/every-step.ts';
import { MortalProcess } from '../../support/crash/mortal-process.ts';
import { sameThreadPool } from '../../support/crash/same-thread-pool.ts';
import { forgetFiles, watchFiles } from '../../support/crash/watched-files.ts';
import { newDirectory } from '../../support/sandbox.ts';

/** Some writes to a file are enough: those in its middle leave the same. */
const FRAME_BYTES = 128 * 1024;
const { story, files } = shortStory(FRAME_BYTES);
const deps = story.deps(sameThreadPool());
const dataDirectory = (disk: Disk): string => join(disk.root, 'data');
const startable = (disk: Disk): boolean => existsSync(join(dataDirectory(disk), 'global/pg_control'));

async function restore(disk: Disk, process: MortalProcess): Promise<void> {
  const request = { target: { kind: 'latest' as const }, to: dataDirectory(disk) };
  const order = { cluster: CLUSTER, request, restoreCommand: 'walden-fetch %f %p' };
  const controls = { signal: new AbortController().signal, onProgress: () => undefined };
  await untilDeath(process, () => restoreCluster(deps, order, controls));
}

async function completeAfter(disk: Disk): Promise<void> {
  if (startable(disk)) {
    assertRestored(dataDirectory(disk), files, [MARKER]);
    const again = restore(disk, new MortalProcess());
    await expect(again).rejects.toSatisfy((error: unknown) => isWaldenError(error, 'PATH_NOT_EMPTY'));
    return;
  }
  await restore(disk, new MortalProcess());
  assertRestored(dataDirectory(disk), files);
  disk.suffer('nothing unsynced');
  expect(startable(disk)).toBe(true);
  assertRestored(dataDirectory(disk), files);
}

async function dieAndGoOn(aftermath: Aftermath, process: MortalProcess): Promise<void> {
  const disk = new Disk(newDirectory('disk'));
  await watchFiles(disk);
  try {
    await restore(disk, process);
    disk.suffer(aftermath);
    await completeAfter(disk);
  } finally {
    forgetFiles(disk);
    disk.remove();
  }
}

describe('a restore from a chain of backups that dies at any step', () => {
  it.each(AFTERMATHS)('can be started when it is complete, or be begun again: %s', async (aftermath) => {
    await atEveryStep((process) => dieAndGoOn(aftermath, process));
  });
});
