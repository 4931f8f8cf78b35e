import fc from 'fast-check';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { BackupId, BackupRecord, ClusterName, RepositoryName } from '../../../catalog/catalog.ts';
import { isWaldenError, WaldenError } from '../../../src/errors.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { createWorkerPool } from '../../../src/platform/worker-pool.ts';
import { formatLsn, type Lsn, type TimelineId } from '../../../src/postgres/lsn.ts';
import { manifestKey, packKey } from '../../../src/repository/keys.ts';
import type { PlanDeps } from '../../../src/restore/plan.ts';
import { restoreCluster, type RestoreResult } from '../../../src/restore/restore-cluster.ts';
import { BlockHistory, type BlockStep } from '../../support/block-history.ts';
import { blockSteps, firstBlocks } from '../../support/block-steps.ts';
import { newDirectory } from '../../support/sandbox.ts';
import { type PlainEntry, storeBackup } from '../../support/stored-backup.ts';
import { stubCatalog } from '../../support/stub-catalog.ts';
import { stubDriver } from '../../support/stub-driver.ts';

const CLUSTER = 'main' as ClusterName;
const NEAR = 'near' as RepositoryName;
const FAR = 'far' as RepositoryName;
const pool = createWorkerPool(new URL('../../support/restore-worker.js', import.meta.url), 2);
afterAll(() => pool.close());

type Files = ReadonlyMap<string, Buffer>;

/** A cluster in memory, of which a chain of backups is taken: relations by block, other files as a whole. */
class Story {
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

  deps(): PlanDeps {
    const range = { timeline: 1 as TimelineId, first: 1n, last: 5n, storedBytes: 1 };
    return {
      catalog: stubCatalog({ backups: this.rows, ranges: [range] }),
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

function restore(story: Story, to: string, backup?: BackupId, deps = story.deps()): Promise<RestoreResult> {
  return restoreCluster(
    deps,
    {
      cluster: CLUSTER,
      request: { target: { kind: 'latest', ...(backup === undefined ? {} : { backup }) }, to },
      restoreCommand: 'walden-fetch main %f %p',
    },
    { signal: new AbortController().signal, onProgress: () => undefined },
  );
}

/** What the directory holds is these files, a label of a full backup, and a manifest that names each with its hash. */
function assertRestored(to: string, files: Files): void {
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
  expect(readdirSync(to).filter((name) => name.startsWith('walden-'))).toEqual([]);
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
function shortStory(frameBytes?: number): { readonly story: Story; readonly files: Files } {
  const story = new Story();
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

async function failure(work: Promise<unknown>): Promise<WaldenError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isWaldenError(error)) throw new Error(`it did not fail as expected: ${String(error)}`);
  return error;
}

const target = (): string => join(newDirectory('chain-'), 'data');

describe('restoreCluster from a chain of backups', () => {
  it('gives back what the cluster was at each of them', async () => {
    const recipe = fc.record({
      first: fc.array(firstBlocks, { minLength: 1, maxLength: 4 }),
      backups: fc.array(
        fc.record({
          steps: fc.array(blockSteps, { minLength: 6, maxLength: 6 }),
          created: fc.option(firstBlocks),
          dropped: fc.option(fc.nat({ max: 5 })),
        }),
        { minLength: 1, maxLength: 4 },
      ),
      frameBytes: fc.constantFrom(5000, 16 * 1024, 300_000),
    });
    await fc.assert(
      fc.asyncProperty(recipe, async ({ first, backups, frameBytes }) => {
        const story = new Story();
        first.forEach((blocks, index) => {
          story.relation(`base/5/${index + 1}`, blocks);
        });
        const states = [story.backup(frameBytes)];
        for (const [index, { steps, created, dropped }] of backups.entries()) {
          story.paths.forEach((path, at) => {
            story.apply(path, steps[at % steps.length] ?? []);
          });
          if (created !== null) story.relation(`base/6/${index + 10}`, created);
          if (dropped !== null && story.paths[dropped] !== undefined) story.drop(story.paths[dropped]);
          states.push(story.backup(frameBytes));
        }
        for (const [index, state] of states.entries()) {
          if (index === 0) continue;
          const to = target();
          await restore(story, to, story.ids[index]);
          assertRestored(to, state);
          rmSync(to, { recursive: true });
        }
      }),
      { numRuns: 40 },
    );
  }, 120_000);

  it('reads of older backups only what it needs', async () => {
    const story = new Story();
    story.relation(
      'base/5/1',
      Array.from({ length: 200 }, (_, index) => index + 1),
    );
    story.backup(8192);
    // All but the first blocks: their frames in the full backup hold nothing of the result.
    story.apply(
      'base/5/1',
      Array.from({ length: 190 }, (_, at): BlockStep => ({ kind: 'write', block: at + 10, content: at })),
    );
    const files = story.backup(8192);
    let bytes = 0;
    const full = packKey(CLUSTER, story.ids[0]!, 1).replace(/\d+\.tar.*/, '');
    story.stores.near.beforeGet = (key, _, length) => {
      if (key.startsWith(full)) bytes += length ?? Infinity;
    };
    const to = target();
    await restore(story, to);
    assertRestored(to, files);
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThan(20 * 8192);
  });

  it('cannot be started after a failure at any read, and is begun again with success', async () => {
    const { story, files } = shortStory();
    const alone = { ...story.deps(), repositories: story.deps().repositories.slice(0, 1) };
    let reads = 0;
    story.stores.near.beforeGet = () => void (reads += 1);
    await restore(story, target(), undefined, alone);
    expect(reads).toBeGreaterThan(8);
    for (let failing = 1; failing <= reads; failing += 1) {
      const to = target();
      let count = 0;
      story.stores.near.beforeGet = () => {
        count += 1;
        if (count === failing) throw new WaldenError('STORAGE_DENIED', 'the store refuses');
      };
      expect((await failure(restore(story, to, undefined, alone))).code).toBe('STORAGE_DENIED');
      expect(existsSync(join(to, 'global/pg_control'))).toBe(false);
      story.stores.near.beforeGet = () => undefined;
      await restore(story, to, undefined, alone);
      assertRestored(to, files);
    }
  });

  it('takes what is damaged in one repository from the other, whichever object it is', async () => {
    const { story } = shortStory();
    for (const key of story.stores.near.objects.keys()) {
      const { story: damaged, files } = shortStory();
      const bytes = damaged.stores.near.objects.get(key)!;
      for (let at = 40; at < bytes.length; at += 97) bytes[at] = (bytes[at] ?? 0) ^ 0x55;
      const to = target();
      const result = await restore(damaged, to);
      assertRestored(to, files);
      expect(result.warnings.length + result.notes.length, key).toBeGreaterThan(0);
    }
  });

  it('tells of damage that no repository makes good', async () => {
    const keys = (story: Story): readonly string[] =>
      story.ids.flatMap((id) => [packKey(CLUSTER, id, 1), manifestKey(CLUSTER, id)]);
    for (const key of keys(shortStory().story)) {
      const { story } = shortStory();
      for (const { objects } of [story.stores.near, story.stores.far]) {
        const bytes: Buffer = objects.get(key)!;
        for (let at = 40; at < bytes.length; at += 97) bytes[at] = (bytes[at] ?? 0) ^ 0x55;
      }
      const to = target();
      expect(['CHECKSUM_MISMATCH', 'FORMAT_INVALID']).toContain((await failure(restore(story, to))).code);
      expect(existsSync(join(to, 'global/pg_control'))).toBe(false);
    }
  });

  it('is refused where a parent is missing or another one, and says which', async () => {
    const { story } = shortStory();
    const [, middle] = story.ids;
    const without = story.rows.filter(({ id }) => id !== middle);
    const deps = { ...story.deps(), catalog: stubCatalog({ ...ranges(), backups: without }) };
    const error = await failure(restore(story, target(), story.ids[2], deps));
    expect([error.code, error.message]).toEqual(['BACKUP_INVALID', expect.stringContaining(middle!)]);
    // Without a name the newest one is taken that is whole.
    const result = await restore(story, target(), undefined, deps);
    expect([result.backup, result.notes.join()]).toEqual([story.ids[0], expect.stringContaining(middle!)]);
  });

  it('takes a parent that one repository has lost from the other', async () => {
    const { story, files } = shortStory();
    for (const key of story.stores.near.objects.keys()) {
      if (key.includes(story.ids[1]!)) story.stores.near.objects.delete(key);
    }
    const to = target();
    await restore(story, to);
    assertRestored(to, files);
  });
});

function ranges() {
  return { ranges: [{ timeline: 1 as TimelineId, first: 1n, last: 5n, storedBytes: 1 }] };
}
