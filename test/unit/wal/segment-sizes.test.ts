import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { timelineId } from '../../../src/postgres/lsn.ts';
import { parseWalName, segmentBytes, segmentName } from '../../../src/postgres/wal-name.ts';
import { repositoryName } from '../../../src/repository/names.ts';
import { walKey } from '../../../src/repository/keys.ts';
import { openWalObject } from '../../../src/wal/open-object.ts';
import { storeWalFile } from '../../../src/wal/store.ts';
import { LocalDriver } from '../../../storage-drivers/local/local-driver.ts';
import { newDirectory } from '../../support/sandbox.ts';
import { WalBuilder } from '../../support/wal-builder.ts';
import { createWalPool, MAIN, setUpWal } from '../../support/wal-setup.ts';

const MIB = 1024 * 1024;
const RECORD_BYTES = 700_001;
const hasZstd = spawnSync('zstd', ['--version']).status === 0;

/** Full of records that no two places have alike, so that a piece lost, doubled or misplaced is seen. */
function fullSegment(bytes: number): Buffer {
  const builder = new WalBuilder({ segmentBytes: bytes, firstSegment: 3n });
  while (Number(builder.position - builder.start) < bytes - 2 * RECORD_BYTES) {
    builder.add({ rmid: 10, info: 0, xid: 700, body: randomBytes(RECORD_BYTES) });
  }
  builder.switch();
  return builder.segments[0]!;
}

function inSharedMemory(bytes: Uint8Array): Uint8Array {
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  return shared;
}

describe('a segment of any size', () => {
  const pool = createWalPool();
  afterAll(() => pool.close());

  // Up to 16 MiB it is one zstd frame, beyond that several.
  it.each([
    { size: 1, from: 'a file' },
    { size: 16, from: 'a file' },
    { size: 32, from: 'a file' },
    { size: 64, from: 'a file' },
    { size: 1, from: 'memory' },
    { size: 16, from: 'memory' },
  ])('of $size MiB, from $from, comes back byte for byte', async ({ size, from }) => {
    const root = newDirectory('repo');
    const driver = await LocalDriver.open({ root, instance: 'test', access: 'read-write' });
    const repository = { name: repositoryName('local'), driver };
    const setup = await setUpWal(pool, [repository]);
    const bytes = segmentBytes(size * MIB);
    const context = { ...setup.context, identity: { ...setup.context.identity, segmentBytes: bytes } };
    const file = parseWalName(segmentName(timelineId(1), 3n, bytes));
    const plain = fullSegment(bytes);
    const directory = newDirectory('wal');
    writeFileSync(join(directory, file.name), plain);

    await storeWalFile(context, file, from === 'memory' ? inSharedMemory(plain) : join(directory, file.name));

    const restored = join(directory, 'restored');
    expect(await openWalObject(context, repository, file, restored)).toMatchObject({ plainBytes: plain.length });
    expect(readFileSync(restored).equals(plain)).toBe(true);
    if (!hasZstd) return;
    const object = join(root, walKey(MAIN, file));
    expect(execFileSync('zstd', ['-dc', object], { maxBuffer: 2 * plain.length }).equals(plain)).toBe(true);
  });
});
