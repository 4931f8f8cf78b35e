import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseWalName } from '../../../src/postgres/wal-name.ts';
import { WalFetcher } from '../../../src/wal/fetch.ts';
import { storeWalFile } from '../../../src/wal/store.ts';
import { ArchiveScene } from '../../support/crash/archive-scene.ts';
import { type Aftermath, AFTERMATHS } from '../../support/crash/disk.ts';
import { atEveryStep, untilDeath } from '../../support/crash/every-step.ts';
import { MortalProcess } from '../../support/crash/mortal-process.ts';
import { until } from '../../support/until.ts';

async function archived(): Promise<ArchiveScene> {
  const scene = await ArchiveScene.make(3);
  const { context } = await scene.start();
  for (const name of scene.names) await storeWalFile(context, parseWalName(name), scene.walPath(name));
  return scene;
}

/** The service starts, recovery asks for the first segment, and the others are fetched ahead; to the end or to its death. */
async function fetch(scene: ArchiveScene, process: MortalProcess): Promise<void> {
  await untilDeath(process, async () => {
    const { context, spool } = await scene.start(process);
    const fetcher = new WalFetcher(context, spool);
    try {
      expect(await fetcher.fetch(scene.names[0]!)).toBe('ready');
      const all = async (): Promise<boolean> =>
        process.died || (await spool.prefetched()).length === scene.names.length;
      await until(all, { what: 'the segments ahead', everyMs: 1 });
    } finally {
      await fetcher.stop();
    }
  });
}

/** What walden-fetch would find; each must be the very file, or recovery goes wrong without a word. */
function soundPrefetched(scene: ArchiveScene): readonly string[] {
  const names = scene.prefetched();
  for (const name of names) {
    const path = join(scene.disk.root, 'spool', 'fetch', name);
    expect(readFileSync(path).equals(scene.plain(name)), name).toBe(true);
  }
  return names;
}

async function dieAndGoOn(aftermath: Aftermath, process: MortalProcess): Promise<void> {
  const scene = await archived();
  try {
    await fetch(scene, process);
    scene.suffer(aftermath);
    soundPrefetched(scene);
    await fetch(scene, new MortalProcess());
    expect(soundPrefetched(scene)).toHaveLength(scene.names.length);
    expect(scene.rubbish()).toEqual([]);
    await scene.assertTruth(scene.names);
  } finally {
    await scene.remove();
  }
}

describe('a fetch whose service dies at any step', () => {
  it.each(AFTERMATHS)('leaves whole files in the spool or none, and is begun again: %s', async (aftermath) => {
    await atEveryStep((process) => dieAndGoOn(aftermath, process));
  });
});
