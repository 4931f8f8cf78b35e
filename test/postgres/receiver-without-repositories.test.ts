import { mkdirSync, renameSync, symlinkSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { parseLsn } from '../../src/postgres/lsn.ts';
import { switchSegment } from '../support/archiving.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { startLoad } from '../support/load.ts';
import {
  gapsOfArchived,
  inRepository,
  receiverThat,
  SLOT,
  slotPosition,
  startReceiving,
  streaming,
} from '../support/receiving.ts';
import { restoreAndStart, type Scene } from '../support/scene.ts';
import { newestVersion } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';
import type { WaldenHarness } from '../support/walden.ts';

const REPOSITORIES = ['near', 'far'] as const;
type Name = (typeof REPOSITORIES)[number];

describe('a service that starts while every repository is away', () => {
  let scene: Scene | undefined;
  afterEach(() => scene?.dispose());

  /** With a backup, and then a service that was started without repositories. @returns where the server's WAL ended then */
  async function begin(...lines: readonly string[]): Promise<bigint> {
    scene = await startReceiving({ version: newestVersion, lines, walden: { repositories: REPOSITORIES } });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    await gapsOfArchived(walden);
    await walden.stop();
    const position = parseLsn(await server.value('select pg_current_wal_flush_lsn()'));
    for (const name of REPOSITORIES) takeAway(walden, name);
    await walden.start();
    await streaming(walden);
    return position;
  }

  /** Some work, of which the last whole segment is returned, and where it ends. */
  async function work({ server, walden }: Scene): Promise<{ readonly segment: string; readonly end: bigint }> {
    const load = await startLoad(server);
    await load.advance(400);
    await load.stop();
    const segment = await switchSegment(server);
    const end = parseLsn(await server.value('select pg_current_wal_flush_lsn()'));
    await receiverThat(
      walden,
      'everything to be in the spool',
      ({ flushedLsn, waitingFiles }) => flushedLsn !== null && parseLsn(flushedLsn) >= end && waitingFiles > 0,
    );
    return { segment, end };
  }

  it('receives into the spool, which is safe enough where that was asked for, and stores everything afterwards', async () => {
    await begin('acknowledge = "spool"');
    const { server, walden } = scene!;
    await work(scene!);
    // A new session must not wait for what waits in the spool.
    await server.query('select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1', [
      SLOT,
    ]);
    const { segment, end } = await work(scene!);
    await until(async () => (await slotPosition(server)) >= end, { what: 'the server to be told', everyMs: 100 });
    expect((await streaming(walden)).failure).toBeNull();
    for (const name of REPOSITORIES) bringBack(walden, name);
    await expectEverything(scene!, segment);
  });

  it('moves the slot by default only when the last of them is back', async () => {
    const before = await begin();
    const { server, walden } = scene!;
    const { segment, end } = await work(scene!);
    const complaints = async (): Promise<number> => (await walden.log()).split('repository far is empty').length;
    const complained = await complaints();
    bringBack(walden, 'near');
    // Only the other one keeps it waiting now.
    await until(async () => (await complaints()) > complained, {
      what: 'an attempt with one repository',
      explain: () => walden.log(),
    });
    expect(await slotPosition(server)).toBeLessThanOrEqual(before);
    bringBack(walden, 'far');
    await expectEverything(scene!, segment);
    await until(async () => (await slotPosition(server)) >= end, { what: 'the slot to move', everyMs: 100 });
  });
});

/** As a share that is not mounted: there is an empty directory. */
function takeAway(walden: WaldenHarness, name: Name): void {
  const path = walden.repositoryPath(name);
  renameSync(path, `${path}.disk`);
  mkdirSync(`${path}.empty`);
  symlinkSync(`${path}.empty`, path);
}

/** In one step, as a mount. */
function bringBack(walden: WaldenHarness, name: Name): void {
  const path = walden.repositoryPath(name);
  symlinkSync(`${path}.disk`, `${path}.mounted`);
  renameSync(`${path}.mounted`, path);
}

/** In both, by itself, and a restore has it. */
async function expectEverything(scene: Scene, segment: string): Promise<void> {
  const { server, walden } = scene;
  for (const name of REPOSITORIES) await inRepository(walden, segment, name);
  expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [] });
  const restored = await restoreAndStart(scene, []);
  expect(await fingerprint(restored)).toEqual(await fingerprint(server));
  await restored.dispose();
}
