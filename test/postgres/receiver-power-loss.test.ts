import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { DurableImage } from '../support/durable-image.ts';
import { nameOf, startLoad, transfersIn } from '../support/load.ts';
import {
  gapsOfArchived,
  receiveDirectory,
  restoreAtOnce,
  startReceiving,
  streaming,
  waitForReceiver,
} from '../support/receiving.ts';
import { recordingFsyncs } from '../support/record-fsyncs.ts';
import type { Scene } from '../support/scene.ts';
import { newestVersion } from '../support/tested-versions.ts';

const LOSSES = 3;

describe('a synchronous standby whose host loses its power', () => {
  let scene: Scene | undefined;
  afterEach(() => scene?.dispose());

  it('has every commit that it let through, in the repository or in the spool', async () => {
    const imageIn = (directory: string): string => join(directory, 'durable');
    const receiveIn = (directory: string): string => join(directory, 'state', 'spool', 'main', 'receive');
    scene = await startReceiving({
      version: newestVersion,
      lines: ['acknowledge = "spool"'],
      walden: { serviceWithin: (directory) => recordingFsyncs(receiveIn(directory), imageIn(directory)) },
    });
    const { server, walden } = scene;
    const image = new DurableImage(receiveDirectory(walden), imageIn(walden.directory));
    await walden.run('backup', 'main');
    await waitForReceiver(server, 'walden');
    const load = await startLoad(server);
    for (let loss = 1; loss <= LOSSES; loss += 1) {
      await load.advance(300 + 70 * loss);
      await walden.kill();
      image.losePower();
      if (loss < LOSSES) {
        await walden.start();
        await streaming(walden);
      }
    }
    await server.kill();
    const acknowledged = await load.stop({ tolerant: true });
    expect(acknowledged.length).toBeGreaterThanOrEqual(300 * LOSSES);
    await walden.start();
    const restored = await restoreAtOnce(scene);
    const found = await transfersIn(restored);
    expect(acknowledged.map(nameOf).filter((name) => !found.has(name))).toEqual([]);
    expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [] });
    await restored.dispose();
  });
});
