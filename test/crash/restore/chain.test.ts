import fc from 'fast-check';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { BackupId } from '../../../catalog/catalog.ts';
import { isWaldenError, WaldenError } from '../../../src/errors.ts';
import { createWorkerPool } from '../../../src/platform/worker-pool.ts';
import { manifestKey, packKey } from '../../../src/repository/keys.ts';
import { restoreCluster, type RestoreResult } from '../../../src/restore/restore-cluster.ts';
import type { BlockStep } from '../../support/block-history.ts';
import { blockSteps, firstBlocks } from '../../support/block-steps.ts';
import { assertRestored, ChainStory, CLUSTER, RANGES, shortStory } from '../../support/chain-story.ts';
import { newDirectory } from '../../support/sandbox.ts';
import { stubCatalog } from '../../support/stub-catalog.ts';

const pool = createWorkerPool(new URL('../../support/restore-worker.js', import.meta.url), 2);
afterAll(() => pool.close());

function restore(story: ChainStory, to: string, backup?: BackupId, deps = story.deps(pool)): Promise<RestoreResult> {
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
        const story = new ChainStory();
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
      { numRuns: 20 },
    );
  }, 120_000);

  it('reads of older backups only what it needs', async () => {
    const story = new ChainStory();
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
    const alone = { ...story.deps(pool), repositories: story.deps(pool).repositories.slice(0, 1) };
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
    const keys = (story: ChainStory): readonly string[] =>
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
    const deps = { ...story.deps(pool), catalog: stubCatalog({ ranges: RANGES, backups: without }) };
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
