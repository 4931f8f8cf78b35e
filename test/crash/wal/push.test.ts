import { describe, expect, it } from 'vitest';
import { WalPusher } from '../../../src/wal/push.ts';
import { ArchiveScene } from '../../support/crash/archive-scene.ts';
import { type Aftermath, AFTERMATHS } from '../../support/crash/disk.ts';
import { atEveryStep, untilDeath } from '../../support/crash/every-step.ts';
import { MortalProcess } from '../../support/crash/mortal-process.ts';
import { until } from '../../support/until.ts';

/** The service starts, PostgreSQL pushes the first segment, and the others are archived ahead; to the end or to its death. */
async function archive(scene: ArchiveScene, process: MortalProcess, acknowledged: Set<string>): Promise<void> {
  const [requested] = scene.names;
  await untilDeath(process, async () => {
    const { context, spool } = await scene.start(process);
    const pusher = new WalPusher(context, { dataDirectory: scene.dataDirectory, spool });
    try {
      await pusher.push(requested!);
      if (!process.died) acknowledged.add(requested!);
      const all = async (): Promise<boolean> =>
        process.died || (await spool.acknowledged()).size === scene.names.length;
      await until(all, { what: 'the segments ahead', everyMs: 1 });
    } finally {
      await pusher.stop();
    }
  });
}

async function dieAndGoOn(aftermath: Aftermath, process: MortalProcess): Promise<void> {
  const scene = await ArchiveScene.make(2);
  try {
    const promised = new Set<string>();
    await archive(scene, process, promised);
    scene.suffer(aftermath);
    await scene.assertTruth([...promised, ...scene.acknowledged()]);
    await archive(scene, new MortalProcess(), promised);
    expect(scene.acknowledged()).toEqual(scene.names);
    expect(scene.rubbish()).toEqual([]);
    await scene.assertTruth(scene.names);
    // What the first process left and the second one found must be as durable as what it did itself.
    scene.suffer('nothing unsynced');
    await scene.assertTruth(scene.names);
  } finally {
    await scene.remove();
  }
}

describe('a push whose service dies at any step', () => {
  it.each(AFTERMATHS)('keeps what it acknowledged, and is completed by the next one: %s', async (aftermath) => {
    await atEveryStep((process) => dieAndGoOn(aftermath, process));
  });
});
