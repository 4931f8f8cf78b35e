import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { WaldenError } from '../../../../src/errors.ts';
import { HashThread, type UnitHasher } from '../../../../src/backup/stream/hash-thread.ts';
import { type DraftUnit, HashedUnits } from '../../../../src/backup/stream/hashed-units.ts';
import { ReceivedFiles } from '../../../../src/backup/stream/received-files.ts';
import type { FilledUnit } from '../../../../src/backup/stream/unit.ts';
import { createTextRoom } from '../../../../src/platform/shared-text.ts';
import { newDirectory } from '../../../support/sandbox.ts';
import { until } from '../../../support/until.ts';

/** A unit of one file of a few bytes. */
function draftOf(path: string): DraftUnit {
  const [size, mode, mtime] = [3, 0o600, 0 as never];
  return {
    room: { number: 0, bytes: Buffer.alloc(8), text: createTextRoom() },
    members: [{ type: 'file', path, size, mode, mtime, skip: 0, bytes: size }],
    part: undefined,
    ranges: [{ start: 0, end: size, endsFile: true }],
    received: [{ name: path, size }],
  };
}

function unitsWith(hasher: UnitHasher, received: ReceivedFiles) {
  const handed: FilledUnit[] = [];
  const failures: WaldenError[] = [];
  const units = new HashedUnits({
    hasher,
    received,
    hand: (unit) => handed.push(unit),
    failed: (error) => failures.push(error),
  });
  return { units, handed, failures };
}

describe('units that are hashed', () => {
  it('are handed on no more once one could not be noted, which is told once', async () => {
    const received = new ReceivedFiles(join(newDirectory('received'), 'received'));
    const hasher: UnitHasher = { hash: () => Promise.resolve([]) };
    const { units, handed, failures } = unitsWith(hasher, received);
    units.add(draftOf('one'));
    units.add(draftOf('two'));
    await expect(units.end([])).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(failures.map(({ code }) => code)).toEqual(['INTERNAL']);
    expect(handed).toEqual([]);
    received.close();
  });

  it('fail when the thread that hashes dies, those that wait and those that come', async () => {
    const received = new ReceivedFiles(join(newDirectory('received'), 'received'));
    const deaths: WaldenError[] = [];
    // Without the room that is asked for.
    const hasher = new HashThread({ rooms: [] }, (error) => deaths.push(error));
    const { units, failures } = unitsWith(hasher, received);
    units.add(draftOf('one'));
    await until(() => failures.length > 0, { what: 'the failure' });
    expect(failures[0]).toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('there is no room 0') as string,
    });
    expect(deaths).toEqual(failures);
    units.add(draftOf('two'));
    await expect(units.end([])).rejects.toBe(failures[0]);
    await hasher.end();
    received.close();
  });
});
