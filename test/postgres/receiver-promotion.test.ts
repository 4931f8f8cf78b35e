import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseConninfo } from '../../src/postgres/conninfo.ts';
import { type Lsn, lsn, parseLsn, type TimelineId } from '../../src/postgres/lsn.ts';
import { ReplicationConnection } from '../../src/postgres/replication/connection.ts';
import type { WalStream } from '../../src/postgres/replication/wal-stream.ts';
import { parseTimelineHistory } from '../../src/postgres/timeline-history.ts';
import type { TestServer } from '../support/postgres-server.ts';
import {
  partialOf,
  receivedNow,
  receiveDirectory,
  receiveFrom,
  receiverThat,
  startReceiving,
  streaming,
  gapsOfArchived,
  withoutZeros,
} from '../support/receiving.ts';
import { leaveMark, marksOf, restoreAndStart, type Scene } from '../support/scene.ts';
import { filesBelow } from '../support/stored.ts';
import { testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';

const SEGMENT_BYTES = 1024n * 1024n;
const SECOND = 2 as TimelineId;

describe.each(testedVersions)('receiving across a promotion, PostgreSQL %i', (version) => {
  let scene: Scene;
  let standby: TestServer;
  let tail: { readonly segment: string; readonly bytes: Buffer };

  beforeAll(async () => {
    scene = await startReceiving({ version });
    const { server, walden } = scene;
    await walden.run('backup', 'main');
    standby = await restoreAndStart(scene, ['--standby'], { waitFor: 'accepting' });
    await walden.stop();
    const hosts = `host=${server.socketDirectory},${standby.socketDirectory} port=5432 user=postgres`;
    receiveFrom(walden, `${hosts} target_session_attrs=read-write`);
    await walden.start();
    expect((await streaming(walden)).host).toBe(server.socketDirectory);
    await leaveMark(server, 'a');
    await receivedNow(server, walden);
    await until(async () => (await marksOf(standby)).includes('a'), { what: 'the standby to follow' });
    // The standby never sees this one: it gets whole segments only.
    await leaveMark(server, 'left behind');
    await server.stop();
    tail = partialOf(walden);
    await standby.query('select pg_promote(true, 60)');
  });
  afterAll(async () => {
    await standby.dispose();
    await scene.dispose();
  });

  it('goes on with the node that takes writes now, on its timeline, without a hole', async () => {
    const { walden } = scene;
    await receiverThat(
      walden,
      'the new primary',
      ({ state, host, timeline }) => state === 'streaming' && host === standby.socketDirectory && timeline === 2,
    );
    await leaveMark(standby, 'b');
    await receivedNow(standby, walden);
    expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [] });
    const restored = await restoreAndStart(scene, []);
    expect(await marksOf(restored)).toEqual(['a', 'b']);
    await restored.dispose();
  });

  it('archives the history of the timeline as the server has it', async () => {
    const { walden } = scene;
    const to = join(walden.directory, 'history');
    await walden.run('wal', 'fetch', 'main', '00000002.history', to);
    const own = join(standby.dataDirectory, 'pg_wal', '00000002.history');
    expect(readFileSync(to).equals(readFileSync(own))).toBe(true);
  });

  it('keeps the tail that the new primary did not have', () => {
    const { walden } = scene;
    const kept = join(receiveDirectory(walden), 'kept', `${tail.segment}.partial.1`);
    expect(withoutZeros(readFileSync(kept)).equals(tail.bytes)).toBe(true);
    expect(filesBelow(receiveDirectory(walden)).filter((file) => file.startsWith('00000001'))).toEqual([]);
  });

  it('is not lured back by the old primary when that is started again', async () => {
    const { server, walden } = scene;
    await walden.stop();
    await server.start();
    await server.query(`insert into marks values ('after the fork')`);
    await walden.start();
    const { host } = await streaming(walden);
    expect(host).toBe(standby.socketDirectory);
    await leaveMark(standby, 'c');
    const segment = await receivedNow(standby, walden);
    expect(segment.startsWith('00000002')).toBe(true);
    expect(existsSync(join(receiveDirectory(walden), `${tail.segment}.partial`))).toBe(false);
  });

  it('follows a promotion that happens while it streams, in the middle of a segment', async () => {
    const { walden } = scene;
    await standby.stop();
    writeFileSync(join(standby.dataDirectory, 'standby.signal'), '');
    await standby.start('accepting');
    const position = parseLsn(await standby.value('select pg_last_wal_replay_lsn()'));
    const connection = await ReplicationConnection.open(parseConninfo(standby.conninfo));
    // Before PostgreSQL 15 a stream wants it.
    await connection.identifySystem();
    await connection.createSlot('reading');
    const start = lsn(position - (position % SEGMENT_BYTES));
    const stream = connection.startStreaming({ slot: 'reading', timeline: SECOND, start });
    expect((await stream.next(60_000)).kind).toBe('begun');
    await standby.query('select pg_promote(true, 60)');
    const end = await endOf(stream, start);
    const history = readFileSync(join(standby.dataDirectory, 'pg_wal', '00000003.history'), 'utf8');
    const fork = parseTimelineHistory(history, 3 as TimelineId).ancestors.at(-1)!.switchLsn;
    expect(end).toBe(fork);
    expect(fork % SEGMENT_BYTES).not.toBe(0n);
    expect(await stream.finish()).toEqual({ timeline: 3, start: fork });
    // It takes commands again; and where nothing is left of a timeline, its end comes at once.
    expect((await connection.identifySystem()).timeline).toBe(3);
    const again = connection.startStreaming({ slot: 'reading', timeline: SECOND, start: fork });
    expect(await endOf(again, fork)).toBe(fork);
    expect(await again.finish()).toEqual({ timeline: 3, start: fork });
    await connection.close();
    await receiverThat(walden, 'timeline 3', ({ state, timeline }) => state === 'streaming' && timeline === 3);
    await leaveMark(standby, 'd');
    await receivedNow(standby, walden);
    expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [] });
    const restored = await restoreAndStart(scene, []);
    expect(await marksOf(restored)).toEqual(['a', 'b', 'c', 'd']);
    await restored.dispose();
  });
});

/** Where the WAL ends that comes. */
async function endOf(stream: WalStream, start: Lsn): Promise<bigint> {
  let at: bigint = start;
  for (;;) {
    const event = await stream.next(60_000);
    if (event.kind === 'wal') at += BigInt(event.bytes.length);
    if (event.kind === 'end') return at;
    if (event.kind === 'silence') throw new Error('waited in vain for the end of a timeline');
  }
}
