import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import type { BackupId, ClusterName, RepositoryName } from '../../../catalog/catalog.ts';
import { bodyOfBytes } from '../../../src/repository/object-bytes.ts';
import { MARKER } from '../../../src/restore/target-directory.ts';
import type { ObjectKey } from '../../../storage-drivers/driver.ts';
import { openDriver } from '../../../storage-drivers/registry.ts';
import { newDirectory } from '../../support/sandbox.ts';
import { type PlainEntry, storeBackup } from '../../support/stored-backup.ts';
import { stubDriver } from '../../support/stub-driver.ts';
import { type Outcome, runProgram } from '../../support/walden.ts';

const ID = '20261122T021500F' as BackupId;
const CHILD = fileURLToPath(new URL('../../support/restore-child.js', import.meta.url));

const ENTRIES: readonly PlainEntry[] = [
  ...['base', 'base/5', 'global', 'pg_wal'].map((path): PlainEntry => ({ path, type: 'directory' })),
  ...Array.from({ length: 3 }, (_, index): PlainEntry => {
    return { path: `base/5/${index}`, type: 'file', bytes: randomBytes(50_000) };
  }),
  { path: 'backup_label', type: 'file', bytes: Buffer.from('START WAL LOCATION: 0/2000028\n') },
  { path: 'global/pg_control', type: 'file', bytes: randomBytes(8192) },
];

let repository: string;

function restore(to: string, death: string): Promise<Outcome> {
  return runProgram(process.execPath, [CHILD, repository, to, ID, death]);
}

function assertComplete(to: string): void {
  for (const entry of ENTRIES) {
    if (entry.type === 'file') expect(readFileSync(join(to, entry.path)).equals(entry.bytes), entry.path).toBe(true);
  }
  expect(existsSync(join(to, MARKER))).toBe(false);
}

beforeAll(async () => {
  repository = newDirectory('repository');
  const stub = stubDriver();
  storeBackup(stub, {
    repository: 'local' as RepositoryName,
    cluster: 'main' as ClusterName,
    id: ID,
    entries: ENTRIES,
  });
  const driver = await openDriver({ driver: 'local', path: repository }, { instance: 'test', access: 'read-write' });
  for (const [key, bytes] of stub.objects) {
    await driver.put(key as ObjectKey, bodyOfBytes(bytes), { ifExists: 'fail' });
  }
  await driver.close();
});

describe('a restore whose process is killed', () => {
  it('at any read cannot be started, and is begun again with success', async () => {
    const whole = join(newDirectory('restore-'), 'data');
    const { status, stdout, stderr } = await restore(whole, 'never');
    expect({ status, stderr }).toMatchObject({ status: 0 });
    assertComplete(whole);
    const reads = Number(stdout);
    expect(reads).toBeGreaterThan(3);
    for (let death = 2; death <= reads; death += 1) {
      const to = join(newDirectory('restore-'), 'data');
      expect((await restore(to, String(death))).status).not.toBe(0);
      expect(existsSync(join(to, 'global/pg_control'))).toBe(false);
      expect(await restore(to, 'never')).toMatchObject({ status: 0 });
      assertComplete(to);
    }
  });

  it('after the last read, before its recovery settings, cannot be started', async () => {
    const to = join(newDirectory('restore-'), 'data');
    expect((await restore(to, 'finish')).status).not.toBe(0);
    expect(existsSync(join(to, 'global/pg_control'))).toBe(false);
    expect(await restore(to, 'never')).toMatchObject({ status: 0 });
    assertComplete(to);
  });
});
