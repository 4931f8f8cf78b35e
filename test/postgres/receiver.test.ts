import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseLsn } from '../../src/postgres/lsn.ts';
import { switchSegment } from '../support/archiving.ts';
import { fingerprint } from '../support/fingerprint.ts';
import { startLoad } from '../support/load.ts';
import {
  inRepository,
  receivedNow,
  receiveDirectory,
  receiverThat,
  SLOT,
  slotPosition,
  startReceiving,
  streaming,
  gapsOfArchived,
} from '../support/receiving.ts';
import { restoreAndStart, type Scene } from '../support/scene.ts';
import { testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';

describe.each(testedVersions)('receiving WAL, PostgreSQL %i', (version) => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await startReceiving({ version, settings: { wal_sender_timeout: '2s' } });
  });
  afterAll(() => scene.dispose());

  it('makes its slot and shows in pg_stat_replication and walden status', async () => {
    const { server, walden } = scene;
    const [slot] = await server.query('select slot_type, active from pg_replication_slots where slot_name = $1', [
      SLOT,
    ]);
    expect(slot).toEqual({ slot_type: 'physical', active: true });
    expect(await server.value(`select application_name from pg_stat_replication`)).toBe('walden');
    await receiverThat(walden, 'the receiver to catch up', ({ lagBytes }) => lagBytes === 0);
    const text = await walden.run('status', 'main');
    expect(text).toContain(`Receiver: streaming from ${server.socketDirectory}, slot ${SLOT}, timeline 1`);
    expect(text).toContain('behind by nothing');
  });

  it('answers a server that has nothing to send, and wants to know whether somebody is there', async () => {
    const { server, walden } = scene;
    await receiverThat(walden, 'the receiver to catch up', ({ lagBytes }) => lagBytes === 0);
    const sender = async (): Promise<{ readonly pid: unknown; readonly replied: number }> => {
      const [row] = await server.query(
        'select pid, extract(epoch from reply_time) as replied from pg_stat_replication',
      );
      return { pid: row?.['pid'], replied: Number(row?.['replied']) };
    };
    let first = await sender();
    await until(
      async () => {
        const { pid, replied } = await sender();
        // On a machine that stood still for so long the server gave up: then from the next one on.
        if (pid !== first.pid) first = { pid, replied };
        return replied > first.replied + 4;
      },
      { what: 'one sender to have answers for twice the time after which the server gives up' },
    );
  });

  it('streams under load through restarts of the server and terminated backends, and what is restored is whole', async () => {
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    const load = await startLoad(server, { reconnect: true });
    for (const harm of ['terminate', 'restart', 'terminate', 'immediate', 'kill'] as const) {
      await load.advance(150);
      if (harm === 'terminate') {
        await server.query('select pg_terminate_backend(pid) from pg_stat_replication');
      } else {
        if (harm === 'kill') await server.kill();
        else await server.stop(harm === 'restart' ? 'fast' : 'immediate');
        await server.start();
      }
      await receiverThat(walden, 'a new session', ({ state, failure }) => state === 'streaming' && failure === null);
    }
    await load.stop();
    await receivedNow(server, walden);
    expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [] });
    const restored = await restoreAndStart(scene, []);
    expect(await fingerprint(restored)).toEqual(await fingerprint(server));
    await restored.dispose();
    expect(await walden.log()).not.toContain('INTERNAL');
  });

  it('acknowledges by segments that are in the repository, and the spool keeps none of those', async () => {
    const { server, walden } = scene;
    await streaming(walden);
    await receivedNow(server, walden);
    await until(async () => (await slotPosition(server)) % (1024n * 1024n) === 0n, { what: 'the slot to move' });
    await receiverThat(
      walden,
      'the end of the segment to be acknowledged',
      ({ acknowledgedLsn, waitingFiles }) =>
        acknowledgedLsn !== null && waitingFiles === 0 && parseLsn(acknowledgedLsn) % (1024n * 1024n) === 0n,
    );
    expect(readdirSync(join(receiveDirectory(walden), 'done'))).toEqual([]);
  });

  it('goes on where the spool ends after a kill -9 of the service', async () => {
    const { server, walden } = scene;
    const load = await startLoad(server);
    const segments: string[] = [];
    for (let kill = 0; kill < 3; kill += 1) {
      await load.advance(100 + 60 * kill);
      await walden.kill();
      segments.push(await switchSegment(server));
      await load.advance(50);
      await walden.start();
    }
    await load.stop();
    segments.push(await switchSegment(server));
    for (const segment of segments) await inRepository(walden, segment);
    expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [] });
    expect(readdirSync(join(receiveDirectory(walden), 'kept'))).toEqual([]);
  });

  it('stores the bytes of pg_wal', async () => {
    const { server, walden } = scene;
    const segment = await receivedNow(server, walden);
    const to = join(walden.directory, 'fetched');
    await walden.run('wal', 'fetch', 'main', segment, to);
    expect(readFileSync(to).equals(readFileSync(join(server.dataDirectory, 'pg_wal', segment)))).toBe(true);
  });
});
