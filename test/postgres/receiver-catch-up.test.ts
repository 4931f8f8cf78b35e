import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { switchSegment } from '../support/archiving.ts';
import {
  gapsOfArchived,
  inRepository,
  receivedNow,
  receiveDirectory,
  SLOT,
  startReceiving,
} from '../support/receiving.ts';
import type { Scene } from '../support/scene.ts';
import { segmentObject } from '../support/stored.ts';
import { testedVersions } from '../support/tested-versions.ts';
import { until } from '../support/until.ts';

/** Between one kill and the next. */
const STORED = 12;

describe.each(testedVersions)('a receiver that is far behind, PostgreSQL %i', (version) => {
  let scene: Scene | undefined;
  afterEach(() => scene?.dispose());

  it('has every byte of every segment after it was killed again and again while it caught up', async () => {
    scene = await startReceiving({ version });
    const { server, walden } = scene;
    await walden.stop();
    const before = await server.value('select pg_walfile_name(pg_current_wal_lsn())');
    // Of 256 KiB each.
    await server.query(
      "select pg_logical_emit_message(false, 'fill', repeat(md5(i::text), 8192)) from generate_series(1, 320) i",
    );
    const last = await switchSegment(server);
    const names = readdirSync(join(server.dataDirectory, 'pg_wal'))
      .filter((name) => /^[0-9A-F]{24}$/.test(name) && name >= before && name <= last)
      .sort();
    expect(names.length).toBeGreaterThan(75);
    const stored = (): number => names.filter((name) => existsSync(segmentObject(walden, name))).length;
    for (let wanted = STORED; wanted < names.length - STORED; wanted += STORED) {
      await walden.start();
      await until(() => stored() >= wanted, { what: `${wanted} segments to be stored`, everyMs: 5 });
      await walden.kill();
    }
    await walden.start();
    await inRepository(walden, last);
    expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [] });
    expect(readdirSync(join(receiveDirectory(walden), 'done'))).toEqual([]);
    expect(readdirSync(join(receiveDirectory(walden), 'kept'))).toEqual([]);
    for (const name of names) {
      const to = join(walden.directory, name);
      await walden.run('wal', 'fetch', 'main', name, to);
      const same = readFileSync(to).equals(readFileSync(join(server.dataDirectory, 'pg_wal', name)));
      expect([name, same]).toEqual([name, true]);
    }
  });

  // Segments are stored in any order: a service that is killed may leave out one before the last.
  it('goes back for what was left out, and takes from the spool what is there already', async () => {
    scene = await startReceiving({ version });
    const { server, walden } = scene;
    await server.query(`select pg_copy_physical_replication_slot($1, 'kept')`, [SLOT]);
    const first = await receivedNow(server, walden);
    await server.query(`insert into marks values ('in the second one')`);
    const second = await server.value('select pg_walfile_name(pg_current_wal_lsn())');
    // What cannot be stored waits in memory, or soon in the spool: the service is killed, and it is in neither.
    mkdirSync(segmentObject(walden, second), { recursive: true });
    expect(await switchSegment(server)).toBe(second);
    const third = await receivedNow(server, walden);
    await server.query(`insert into marks values ('a tail')`);
    await until(() => readdirSync(receiveDirectory(walden)).some((name) => name > third), { what: 'the tail to come' });
    await walden.kill();
    const slotIsFree = 'select active from pg_replication_slots where slot_name = $1';
    await until(async () => (await server.value(slotIsFree, [SLOT])) === 'false', { what: 'the slot to be free' });
    await server.query('select pg_drop_replication_slot($1)', [SLOT]);
    await server.query(`select pg_copy_physical_replication_slot('kept', $1)`, [SLOT]);
    rmdirSync(segmentObject(walden, second));
    rmSync(join(receiveDirectory(walden), 'done', second), { force: true });
    await walden.start();
    await inRepository(walden, second);
    const last = await receivedNow(server, walden);
    expect(await gapsOfArchived(walden)).toMatchObject({ gaps: [] });
    for (const name of [first, second, third, last]) expect(existsSync(segmentObject(walden, name))).toBe(true);
    expect(readdirSync(join(receiveDirectory(walden), 'kept'))).toEqual([]);
  });
});
