import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { BackupFacts, BackupId, ClusterName, RepositoryName } from '../../../catalog/catalog.ts';
import { type ErrorCode, isWaldenError, WaldenError } from '../../../src/errors.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { createWorkerPool } from '../../../src/platform/worker-pool.ts';
import type { TimelineId } from '../../../src/postgres/lsn.ts';
import type { PlanDeps } from '../../../src/restore/plan.ts';
import { restoreCluster, type RestoreResult } from '../../../src/restore/restore-cluster.ts';
import { MARKER } from '../../../src/restore/target-directory.ts';
import type { RestoreRequest } from '../../../src/service/api.ts';
import { newDirectory } from '../../support/sandbox.ts';
import { type PlainEntry, storeBackup } from '../../support/stored-backup.ts';
import { stubCatalog } from '../../support/stub-catalog.ts';
import { type StubDriver, stubDriver } from '../../support/stub-driver.ts';

const CLUSTER = 'main' as ClusterName;
const REPOSITORY = 'local' as RepositoryName;
const ID = '20261122T021500F' as BackupId;
const pool = createWorkerPool(new URL('../../support/restore-worker.js', import.meta.url), 2);
afterAll(() => pool.close());

/** Bytes that do not compress away, of a length that makes several frames. */
function content(name: string, length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, index) =>
    createHash('sha256').update(`${name} ${index}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, length);
}

function file(path: string, length: number): PlainEntry {
  return { path, type: 'file', bytes: content(path, length) };
}

function directories(...paths: readonly string[]): readonly PlainEntry[] {
  return paths.map((path) => ({ path, type: 'directory' }));
}

const ENTRIES: readonly PlainEntry[] = [
  ...directories('base', 'base/5', 'global', 'pg_wal', 'pg_wal/archive_status', 'pg_tblspc'),
  { path: 'PG_VERSION', type: 'file', bytes: Buffer.from('17\n') },
  { path: 'postgresql.conf', type: 'file', bytes: Buffer.from("hba_file = '/etc/pg_hba.conf'\n") },
  { path: 'postgresql.auto.conf', type: 'file', bytes: Buffer.from("recovery_target_name = 'old'\n") },
  { path: 'standby.signal', type: 'file', bytes: Buffer.alloc(0) },
  ...Array.from({ length: 12 }, (_, index) => file(`base/5/${1000 + index}`, 8192 * (index % 4))),
  file('base/5/2000', 200_000),
  { path: 'backup_label', type: 'file', bytes: Buffer.from('START WAL LOCATION: 0/2000028\n') },
  file('global/pg_control', 8192),
];

let driver: StubDriver;
let deps: PlanDeps;
let to: string;

function store(entries: readonly PlainEntry[], facts: Partial<BackupFacts> = {}): void {
  driver = stubDriver();
  const backup = storeBackup(driver, { repository: REPOSITORY, cluster: CLUSTER, id: ID, entries, facts });
  const range = { timeline: 1 as TimelineId, first: 1n, last: 5n, storedBytes: 1 };
  deps = {
    catalog: stubCatalog({ backups: [backup], ranges: [range] }),
    repositories: [{ name: REPOSITORY, driver }],
    pool,
    clock: { now: () => systemClock.now(), sleep: () => Promise.resolve() },
  };
}

function restore(more: Partial<RestoreRequest> = {}, signal = new AbortController().signal): Promise<RestoreResult> {
  const request: RestoreRequest = { target: { kind: 'latest' }, to, ...more };
  return restoreCluster(
    deps,
    { cluster: CLUSTER, request, restoreCommand: "'/opt/my dir/walden-fetch' main %f %p" },
    { signal, onProgress: () => undefined },
  );
}

async function failure(work: Promise<unknown>): Promise<WaldenError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isWaldenError(error)) throw new Error(`it did not fail as expected: ${String(error)}`);
  return error;
}

function assertComplete(root: string = to): void {
  for (const entry of ENTRIES) {
    if (entry.type !== 'file' || /auto\.conf|standby\.signal/.test(entry.path)) continue;
    expect(readFileSync(join(root, entry.path)).equals(entry.bytes), entry.path).toBe(true);
  }
  expect(existsSync(join(root, MARKER))).toBe(false);
  expect(existsSync(join(root, 'recovery.signal'))).toBe(true);
}

const startable = (): boolean => existsSync(join(to, 'global/pg_control'));

beforeEach(() => {
  to = join(newDirectory('restore-'), 'data');
  store(ENTRIES);
});

describe('restoreCluster', () => {
  it('gives every file back, with the recovery settings and the signal file', async () => {
    const result = await restore({ action: 'promote' });
    assertComplete();
    expect(existsSync(join(to, 'standby.signal'))).toBe(false);
    const conf = readFileSync(join(to, 'postgresql.auto.conf'), 'utf8');
    expect(conf).toMatch(/^# removed by walden restore .*: recovery_target_name = 'old'$/m);
    expect(conf).toContain("restore_command = '''/opt/my dir/walden-fetch'' main %f %p'");
    expect(conf).toContain("archive_mode = 'off'");
    expect(statSync(to).mode & 0o777).toBe(0o700);
    expect(result.files).toBe(ENTRIES.filter(({ type }) => type === 'file').length);
    expect(result.warnings.join()).toContain('/etc/pg_hba.conf');
  });

  it('cannot be started after a failure at any read, and is begun again with success', async () => {
    let reads = 0;
    driver.beforeGet = () => void (reads += 1);
    await restore();
    expect(reads).toBeGreaterThan(4);
    for (let failing = 1; failing <= reads; failing += 1) {
      to = join(newDirectory('restore-'), 'data');
      let count = 0;
      driver.beforeGet = () => {
        count += 1;
        if (count === failing) throw new WaldenError('STORAGE_DENIED', 'the store refuses');
      };
      expect((await failure(restore())).code).toBe('STORAGE_DENIED');
      expect(startable()).toBe(false);
      driver.beforeGet = () => undefined;
      await restore();
      assertComplete();
    }
  });

  it('survives reads that fail for a while', async () => {
    let count = 0;
    driver.beforeGet = (key) => {
      count += 1;
      if (key.includes('/data/') && count % 2 === 0) throw new WaldenError('STORAGE_UNAVAILABLE', 'come again');
    };
    await restore();
    assertComplete();
  });

  it('takes the next repository when the first cannot be read', async () => {
    const name = 'far' as RepositoryName;
    const far = stubDriver();
    far.beforeGet = () => {
      throw new WaldenError('STORAGE_UNAVAILABLE', 'nobody answers');
    };
    const record = storeBackup(far, { repository: name, cluster: CLUSTER, id: ID, entries: ENTRIES });
    const [known] = await deps.catalog.backups(CLUSTER);
    const ranges = await deps.catalog.walRanges(REPOSITORY, CLUSTER);
    deps = {
      ...deps,
      catalog: stubCatalog({ backups: [record, known!], ranges }),
      repositories: [{ name, driver: far }, ...deps.repositories],
    };
    const result = await restore();
    expect(result.repository).toBe(REPOSITORY);
    expect(result.notes.join()).toContain('nobody answers');
    assertComplete();
    deps = { ...deps, repositories: deps.repositories.slice(0, 1) };
    to = join(newDirectory('restore-'), 'data');
    expect((await failure(restore())).code).toBe('STORAGE_UNAVAILABLE');
    expect(existsSync(to)).toBe(false);
  });

  it('stops between two reads when it is cancelled, and cannot be started then', async () => {
    const controller = new AbortController();
    driver.beforeGet = (key) => {
      if (key.includes('/data/')) controller.abort(new WaldenError('INTERRUPTED', 'the job was cancelled'));
    };
    expect((await failure(restore({}, controller.signal))).code).toBe('INTERRUPTED');
    expect(startable()).toBe(false);
    expect(existsSync(join(to, MARKER))).toBe(true);
    driver.beforeGet = () => undefined;
    await restore();
    assertComplete();
  });

  it('names file and object when a stored byte was changed, wherever it is', async () => {
    for (const [key, bytes] of driver.objects) {
      if (!key.includes('/data/')) continue;
      for (let at = 5; at < bytes.length - 40; at += Math.ceil(bytes.length / 7)) {
        to = join(newDirectory('restore-'), 'data');
        const damaged = Buffer.from(bytes);
        damaged[at] = damaged[at]! ^ 0x10;
        driver.objects.set(key, damaged);
        const error = await failure(restore());
        expect(error.code).toBe('CHECKSUM_MISMATCH');
        expect(error.message).toContain(key);
        expect(startable()).toBe(false);
      }
      driver.objects.set(key, bytes);
    }
  });

  it('refuses a manifest that is not the one of the backup before a byte is written into the directory', async () => {
    const key = [...driver.objects.keys()].find((one) => one.includes('manifest'))!;
    const other = stubDriver();
    const entries = [...ENTRIES, file('extra', 10)];
    storeBackup(other, { repository: REPOSITORY, cluster: CLUSTER, id: ID, entries });
    driver.objects.set(key, other.objects.get(key)!);
    expect((await failure(restore())).code).toBe('CHECKSUM_MISMATCH');
    expect(readdirSync(to)).toEqual([MARKER]);
  });

  it.each(['backup_label', 'global/pg_control'])('refuses a backup without %s', async (path) => {
    store(ENTRIES.filter((entry) => entry.path !== path));
    expect((await failure(restore())).code).toBe('BACKUP_INVALID');
    expect(startable()).toBe(false);
  });
});

describe('restoreCluster into a directory', () => {
  async function refused(code: ErrorCode, more: Partial<RestoreRequest> = {}): Promise<WaldenError> {
    const error = await failure(restore(more));
    expect(error.code).toBe(code);
    return error;
  }

  it('that is not empty is refused, and nothing in it is touched', async () => {
    mkdirSync(to);
    writeFileSync(join(to, 'precious'), 'x');
    await refused('PATH_NOT_EMPTY');
    expect(readdirSync(to)).toEqual(['precious']);
  });

  it('that was restored completely is refused', async () => {
    await restore();
    writeFileSync(join(to, MARKER), JSON.stringify({ dataDirectory: to, process: { pid: 1 } }));
    await refused('PATH_NOT_EMPTY');
  });

  it('whose server runs is refused', async () => {
    mkdirSync(to);
    writeFileSync(join(to, 'postmaster.pid'), `${process.pid}\n${to}\n`);
    await refused('SERVER_RUNNING');
  });

  it('that another restore is filling is refused', async () => {
    let second: WaldenError | undefined;
    driver.beforeGet = async (key) => {
      if (key.includes('/data/') && second === undefined) {
        second = new WaldenError('INTERNAL', 'asked');
        second = await failure(restore());
      }
    };
    await restore();
    expect(second?.code).toBe('LOCK_HELD');
    assertComplete();
  });

  it.skipIf(process.getuid?.() !== 0)('of another user is filled by root for that user', async () => {
    store(ENTRIES.filter(({ path }) => path !== 'pg_tblspc'));
    mkdirSync(to);
    chownSync(to, 1234, 1235);
    await restore();
    for (const name of ['', ...readdirSync(to, { recursive: true, encoding: 'utf8' })]) {
      const { uid, gid } = statSync(join(to, name));
      expect([uid, gid], name).toEqual([1234, 1235]);
    }
  });

  it('that is only a relative path is refused', async () => {
    await refused('USAGE', { to: 'data' });
  });

  it('whose mode was opened is closed again', async () => {
    mkdirSync(to);
    chmodSync(to, 0o755);
    await restore();
    expect(statSync(to).mode & 0o777).toBe(0o700);
  });
});

describe('restoreCluster with tablespaces', () => {
  let original: string;
  const inTablespace = 'pg_tblspc/16384/PG_17_202406281/5/16385';

  beforeEach(() => {
    original = join(newDirectory('ts-'), 'old');
    const tablespace: readonly PlainEntry[] = [
      { path: 'pg_tblspc/16384', type: 'tablespace', oid: 16384, location: original },
      ...directories('pg_tblspc/16384/PG_17_202406281', 'pg_tblspc/16384/PG_17_202406281/5'),
      file(inTablespace, 30_000),
    ];
    store([...ENTRIES.slice(0, -2), ...tablespace, ...ENTRIES.slice(-2)], {
      tablespaces: [{ oid: 16384, location: original }],
    });
  });

  it('puts them where they stood, or where the map says', async () => {
    const mapped = join(newDirectory('ts-'), 'new');
    await restore({ tablespaceMap: { [`${original}/`]: mapped } });
    assertComplete();
    expect(readlinkSync(join(to, 'pg_tblspc/16384'))).toBe(mapped);
    expect(readdirSync(mapped)).toEqual(['PG_17_202406281']);
    expect(existsSync(original)).toBe(false);
    to = join(newDirectory('restore-'), 'data');
    await restore();
    expect(readFileSync(join(original, 'PG_17_202406281/5/16385')).equals(content(inTablespace, 30_000))).toBe(true);
  });

  it('refuses a place that is in use before a byte is written', async () => {
    mkdirSync(original);
    writeFileSync(join(original, 'theirs'), 'x');
    const error = await failure(restore());
    expect(error.code).toBe('PATH_NOT_EMPTY');
    expect(error.hint).toContain('--tablespace-map');
    expect(existsSync(to)).toBe(false);
  });

  it('is begun again after a failure there', async () => {
    let failing = true;
    driver.beforeGet = (key) => {
      if (failing && key.includes('/data/')) throw new WaldenError('STORAGE_DENIED', 'the store refuses');
    };
    await failure(restore());
    expect(existsSync(join(original, MARKER))).toBe(true);
    failing = false;
    await restore();
    assertComplete();
    expect(existsSync(join(original, MARKER))).toBe(false);
  });

  it.each([
    ['a place inside the data directory', (): Record<string, string> => ({ [original]: join(to, 'ts') })],
    ['a relative place', (): Record<string, string> => ({ [original]: 'ts' })],
    ['a tablespace that there is not', (): Record<string, string> => ({ '/no/such': '/tmp/x' })],
  ])('refuses a map with %s', async (_, map) => {
    expect((await failure(restore({ tablespaceMap: map() }))).code).toBe('USAGE');
    expect(existsSync(to)).toBe(false);
  });
});
