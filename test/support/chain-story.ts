import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { BackupId, BackupRecord, ClusterName, RepositoryName } from '../../catalog/catalog.ts';
import { systemClock } from '../../src/platform/clock.ts';
import type { WorkerPool } from '../../src/platform/worker-pool.ts';
import { formatLsn, type Lsn, type TimelineId } from '../../src/postgres/lsn.ts';
import type { PlanDeps } from '../../src/restore/plan.ts';
import { BlockHistory, type BlockStep } from './block-history.ts';
import { type PlainEntry, storeBackup } from './stored-backup.ts';
import { stubCatalog } from './stub-catalog.ts';
import { stubDriver } from './stub-driver.ts';

export const CLUSTER = 'main' as ClusterName;
const NEAR = 'near' as RepositoryName;
const FAR = 'far' as RepositoryName;

/** By their paths. */
export type Files = ReadonlyMap<string, Buffer>;

/** A cluster in memory, of which a chain of backups is taken: relations by block, other files as a whole. */
export class ChainStory {
  readonly stores = { near: stubDriver(), far: stubDriver() };
  readonly rows: BackupRecord[] = [];
  readonly #relations = new Map<string, BlockHistory>();
  /** In the backup before. */
  #known = new Set<string>();
  #lsn = 0x200028n;

  relation(path: string, blocks: readonly number[]): void {
    this.#relations.set(path, new BlockHistory(blocks));
  }

  apply(path: string, steps: readonly BlockStep[]): void {
    for (const step of steps) this.#relations.get(path)?.apply(step);
  }

  drop(path: string): void {
    this.#relations.delete(path);
  }

  get paths(): readonly string[] {
    return [...this.#relations.keys()];
  }

  /** The first one is full. @returns the files as they are now */
  backup(frameBytes = 16 * 1024): Files {
    const parent = this.rows.at(-1);
    const id = `2026112${this.rows.length / 2}T021500${parent === undefined ? 'F' : 'I'}` as BackupId;
    const startLsn = this.#lsn as Lsn;
    this.#lsn += 0x1000n;
    const from = parent?.facts?.startLsn;
    const label =
      `START WAL LOCATION: ${formatLsn(startLsn)} (file 000000010000000000000002)\nSTART TIMELINE: 1\n` +
      (from === undefined ? '' : `INCREMENTAL FROM LSN: ${formatLsn(from)}\nINCREMENTAL FROM TLI: 1\n`);
    const whole = new Map<string, Buffer>([
      ['PG_VERSION', Buffer.from('17\n')],
      ['postgresql.auto.conf', Buffer.alloc(0)],
      ['base/5/1_fsm', Buffer.from(`fsm of ${id}`)],
      ['global/pg_control', Buffer.alloc(8192, this.rows.length + 1)],
    ]);
    const entries: PlainEntry[] = ['base', 'base/5', 'base/6', 'global', 'pg_wal'].map((path) => ({
      path,
      type: 'directory',
    }));
    for (const [path, bytes] of whole) entries.push({ path, type: 'file', bytes });
    for (const [path, history] of this.#relations) {
      whole.set(path, history.bytes());
      const taken = this.#known.has(path) ? history.increment() : history.whole();
      const name = taken.kind === 'whole' ? path : path.replace(/([^/]+)$/, 'INCREMENTAL.$1');
      entries.push({ path: name, type: 'file', bytes: taken.bytes });
    }
    this.#known = new Set(this.#relations.keys());
    entries.push({ path: 'backup_manifest', type: 'file', bytes: Buffer.from('that of PostgreSQL') });
    entries.push({ path: 'backup_label', type: 'file', bytes: Buffer.from(label) });
    const stopLsn = (startLsn + 0x100n) as Lsn;
    const facts = { parent: parent?.id, startLsn, stopLsn };
    for (const [repository, driver] of [
      [NEAR, this.stores.near],
      [FAR, this.stores.far],
    ] as const) {
      this.rows.push(
        storeBackup(driver, { repository, cluster: CLUSTER, id, entries, facts, frameBytes, packBytes: 100_000 }),
      );
    }
    return whole;
  }

  deps(pool: WorkerPool): PlanDeps {
    return {
      catalog: stubCatalog({ backups: this.rows, ranges: RANGES }),
      repositories: [
        { name: NEAR, driver: this.stores.near },
        { name: FAR, driver: this.stores.far },
      ],
      pool,
      clock: { now: () => systemClock.now(), sleep: () => Promise.resolve() },
    };
  }

  get ids(): readonly BackupId[] {
    return [...new Set(this.rows.map(({ id }) => id))];
  }
}

export const RANGES = [{ timeline: 1 as TimelineId, first: 1n, last: 5n, storedBytes: 1 }];

/**
 * What the directory holds is these files, a label of a full backup, and a manifest that names each with its hash.
 * @param left what of Walden's may still be there
 */
export function assertRestored(to: string, files: Files, left: readonly string[] = []): void {
  const found = ['base/5', 'base/6', 'global'].flatMap((path) =>
    readdirSync(join(to, path)).map((name) => `${path}/${name}`),
  );
  const expected = [...files.keys()].filter((path) => path.includes('/'));
  expect(found.sort()).toEqual(expected.sort());
  for (const [path, bytes] of files) {
    if (path === 'postgresql.auto.conf') continue;
    expect(readFileSync(join(to, path)).equals(bytes), path).toBe(true);
  }
  const label = readFileSync(join(to, 'backup_label'), 'utf8');
  expect(label).toMatch(/^START WAL LOCATION/);
  expect(label).not.toContain('INCREMENTAL');
  assertManifest(to, files);
  const own = readdirSync(to).filter((name) => name.startsWith('walden-') && !left.includes(name));
  expect(own).toEqual([]);
}

function assertManifest(to: string, files: Files): void {
  const text = readFileSync(join(to, 'backup_manifest'), 'utf8');
  const body = text.slice(0, text.lastIndexOf('"Manifest-Checksum"'));
  const sum = createHash('sha256').update(body).digest('hex');
  expect(text.endsWith(`"Manifest-Checksum": "${sum}"}\n`)).toBe(true);
  expect(statSync(join(to, 'backup_manifest')).mode & 0o777).toBe(0o600);
  const { Files: listed } = JSON.parse(text) as {
    readonly Files: readonly { readonly Path: string; readonly Size: number; readonly Checksum: string }[];
  };
  const names = listed.map(({ Path }) => Path).sort();
  expect(names).toEqual([...files.keys(), 'backup_label'].sort());
  for (const { Path, Size, Checksum } of listed) {
    const bytes = Path === 'backup_label' ? readFileSync(join(to, Path)) : files.get(Path)!;
    expect([Size, Checksum], Path).toEqual([bytes.length, createHash('sha256').update(bytes).digest('hex')]);
  }
}

/** Three backups of which the last has something of everything. */
export function shortStory(frameBytes?: number): { readonly story: ChainStory; readonly files: Files } {
  const story = new ChainStory();
  const many = Array.from({ length: 40 }, (_, index) => index + 1);
  for (const [index, path] of ['base/5/1', 'base/5/2', 'base/6/3', 'base/6/4', 'base/6/5'].entries()) {
    story.relation(
      path,
      many.map((content) => content * (index + 1)),
    );
  }
  story.backup(frameBytes);
  story.apply('base/5/1', [
    { kind: 'write', block: 7, content: 700 },
    { kind: 'write', block: 45, content: 701 },
  ]);
  story.apply('base/5/2', [{ kind: 'truncate', blocks: 3 }]);
  story.drop('base/6/5');
  story.backup(frameBytes);
  story.apply('base/5/1', [{ kind: 'write', block: 8, content: 800 }]);
  story.apply('base/5/2', [
    { kind: 'extend', blocks: 4 },
    { kind: 'write', block: 7, content: 900 },
  ]);
  story.relation('base/6/6', [1, 2, 3]);
  const files = story.backup(frameBytes);
  return { story, files };
}
