import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { TestServer } from '../support/postgres-server.ts';
import {
  gapsOfArchived,
  partialReceived,
  receivedNow,
  receiveDirectory,
  receiverThat,
  SLOT,
  startReceiving,
  streaming,
} from '../support/receiving.ts';
import type { Scene } from '../support/scene.ts';
import { filesBelow } from '../support/stored.ts';
import { testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';

const SMALL = { min_wal_size: '2MB', max_wal_size: '4MB', max_slot_wal_keep_size: '2MB' };
const MADE_ANEW = `the replication slot ${SLOT} kept no WAL, and is made anew`;

describe.each(testedVersions)('a slot that the server gave up, PostgreSQL %i', (version) => {
  let scene: Scene | undefined;
  afterEach(() => scene?.dispose());

  it('while nobody received is made anew, and the hole is told', async () => {
    scene = await startReceiving({ version, settings: SMALL });
    const { server, walden } = scene;
    await receivedNow(server, walden);
    await server.query(`insert into marks values ('a tail')`);
    const { segment: lost } = await partialReceived(walden);
    await walden.stop();
    await giveUp(server, lost);
    await walden.start();
    await goesOnBehind(scene, lost);
    expect(filesBelow(join(receiveDirectory(walden), 'kept'))).toEqual([`${lost}.partial.1`]);
  });

  it('under a receiver that did not keep up is made anew, and the hole is told', async () => {
    scene = await startReceiving({ version, settings: { ...SMALL, wal_sender_timeout: '2s' } });
    const { server, walden } = scene;
    await receivedNow(server, walden);
    await server.query(`insert into marks values ('a tail')`);
    const { segment: lost } = await partialReceived(walden);
    process.kill(walden.pid!, 'SIGSTOP');
    try {
      // A sender that is told to end while nobody reads what it says would wait, and the checkpoint for it.
      await until(async () => (await server.value('select count(*) from pg_stat_replication')) === '0', {
        what: 'the server to take the receiver for lost',
      });
      await giveUp(server, lost);
    } finally {
      process.kill(walden.pid!, 'SIGCONT');
    }
    const { gap } = await receiverThat(walden, 'the hole to be told', (receiver) => receiver.gap !== null);
    // What was in the socket still came.
    await goesOnBehind(scene, gap!.first);
  });

  it.runIf(version >= 18)('because nobody had used it for long is made anew, without a hole', async () => {
    scene = await startReceiving({ version, settings: { idle_replication_slot_timeout: '1s' } });
    const { server, walden } = scene;
    await receivedNow(server, walden);
    await walden.stop();
    await until(
      async () => {
        await server.query('checkpoint');
        return (await slotStatus(server)) === 'lost';
      },
      { what: 'the server to give up the slot' },
    );
    await server.query(`insert into marks values ('a tail')`);
    await walden.start();
    expect((await streaming(walden)).failure).toBeNull();
    expect(await walden.log()).toContain(MADE_ANEW);
    await receivedNow(server, walden);
    expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [] });
    expect(await slotStatus(server)).toBe('reserved');
  });
});

/** Writes until the server has given the slot up, and this segment with it. */
async function giveUp(server: TestServer, segment: string): Promise<void> {
  await until(
    async () => {
      await server.query(`select pg_logical_emit_message(true, 'test', repeat('x', 100000)), pg_switch_wal()`);
      await server.query('checkpoint');
      const left = await server.value('select count(*) from pg_ls_waldir() where name = $1', [segment]);
      return left === '0' && (await slotStatus(server)) === 'lost';
    },
    { what: 'the server to give up the slot', explain: () => server.log() },
  );
}

async function slotStatus(server: TestServer): Promise<string> {
  return await server.value('select wal_status from pg_replication_slots where slot_name = $1', [SLOT]);
}

async function goesOnBehind({ server, walden }: Scene, lost: string): Promise<void> {
  const { gap, failure } = await receiverThat(
    walden,
    'the receiver to go on',
    (receiver) => receiver.state === 'streaming' && receiver.gap !== null,
  );
  expect(failure).toBeNull();
  expect(gap?.first).toBe(lost);
  expect(await walden.log()).toContain(MADE_ANEW);
  await receivedNow(server, walden);
  expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [{ first: lost, last: gap?.last }] });
  expect(await walden.run('status', 'main')).toContain(`LOST: WAL from ${lost} to ${gap?.last ?? ''}`);
  // It keeps WAL again.
  expect(['reserved', 'extended']).toContain(await slotStatus(server));
}
