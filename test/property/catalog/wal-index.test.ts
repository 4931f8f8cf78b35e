import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WalFileRecord, WalRange } from '../../../catalog/catalog.ts';
import { SqliteCatalog } from '../../../catalog/sqlite/sqlite-catalog.ts';
import { index, MAIN, micros, NEAR, segmentRow, timeline } from '../../support/catalog-rows.ts';

interface Step {
  readonly forget: boolean;
  readonly file: WalFileRecord;
}

/** Few segments around the border of two blocks of summaries, so that neighbours, repetitions and holes are frequent. */
const number = fc.oneof(fc.bigInt({ min: 250n, max: 262n }), fc.bigInt({ min: 0n, max: 1100n }));
const moment = fc.integer({ min: 0, max: 50 });
const xid = fc.oneof(fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: 0xffff_fff0, max: 0xffff_ffff }));

const walIndex = fc
  .record({ commits: fc.option(fc.tuple(moment, moment)), xids: fc.option(fc.tuple(xid, fc.nat({ max: 1000 }))) })
  .map(({ commits, xids }) =>
    index({
      firstCommit: commits === null ? undefined : micros(Math.min(...commits)),
      lastCommit: commits === null ? undefined : micros(Math.max(...commits)),
      firstXid: xids?.[0],
      lastXid: xids === null ? undefined : (xids[0] + xids[1]) % 0x1_0000_0000,
    }),
  );

const step: fc.Arbitrary<Step> = fc
  .record({
    forget: fc.boolean(),
    segment: number,
    own: fc.integer({ min: 1, max: 2 }),
    storedBytes: fc.nat({ max: 99 }),
    facts: walIndex,
  })
  .map(({ forget, segment, own, storedBytes, facts }) => ({
    forget,
    file: segmentRow(segment, { timeline: timeline(own), storedBytes, index: facts }),
  }));

const span = fc.record({ a: number, b: number, own: fc.integer({ min: 1, max: 2 }) }).map(({ a, b, own }) => ({
  timeline: timeline(own),
  from: a < b ? a : b,
  to: a < b ? b : a,
}));

async function apply(catalog: SqliteCatalog, steps: readonly Step[]): Promise<readonly WalFileRecord[]> {
  const model = new Map<string, WalFileRecord>();
  for (const { forget, file } of steps) {
    if (forget) {
      await catalog.forgetWalFile(NEAR, MAIN, file.name);
      model.delete(file.name);
    } else {
      await catalog.recordWalFile(file);
      model.set(file.name, file);
    }
  }
  return [...model.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function rangesOf(files: readonly WalFileRecord[]): WalRange[] {
  const ranges: WalRange[] = [];
  for (const { timeline: own, segment = 0n, storedBytes } of files) {
    const last = ranges.at(-1);
    if (last?.timeline === own && last.last + 1n === segment) {
      ranges[ranges.length - 1] = { ...last, last: segment, storedBytes: last.storedBytes + storedBytes };
    } else {
      ranges.push({ timeline: own, first: segment, last: segment, storedBytes });
    }
  }
  return ranges;
}

describe('the index of WAL', () => {
  it('has the ranges that the segments make, in whatever order they came and went', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120 }), async (steps) => {
        const catalog = SqliteCatalog.open(':memory:');
        const files = await apply(catalog, steps);
        expect(await catalog.walRanges(NEAR, MAIN)).toEqual(rangesOf(files));
        expect(await catalog.problems()).toEqual([]);
        await catalog.close();
      }),
      { numRuns: 150 },
    );
  });

  it('answers about commits and transactions as a look at every segment does', async () => {
    const questions = fc.array(fc.record({ span, time: moment, orEqual: fc.boolean(), xid }), { maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), questions, async (steps, asked) => {
        const catalog = SqliteCatalog.open(':memory:');
        const files = await apply(catalog, steps);
        for (const question of asked) await compare(catalog, files, question);
        await catalog.close();
      }),
      { numRuns: 150 },
    );
  });
});

interface Question {
  readonly span: { readonly timeline: WalFileRecord['timeline']; readonly from: bigint; readonly to: bigint };
  readonly time: number;
  readonly orEqual: boolean;
  readonly xid: number;
}

async function compare(catalog: SqliteCatalog, files: readonly WalFileRecord[], asked: Question): Promise<void> {
  const { span: within, orEqual, xid: wanted } = asked;
  const time = micros(asked.time);
  const inside = files.filter(
    ({ timeline: own, segment = -1n }) => own === within.timeline && segment >= within.from && segment <= within.to,
  );
  const known = (values: readonly (number | undefined)[]) => values.filter((value) => value !== undefined);
  const firsts = known(inside.map((file) => file.index?.firstCommit));
  const lasts = known(inside.map((file) => file.index?.lastCommit));
  expect(await catalog.commitBounds(NEAR, MAIN, within)).toEqual({
    first: firsts.length === 0 ? undefined : Math.min(...firsts),
    last: lasts.length === 0 ? undefined : Math.max(...lasts),
  });
  const after = inside.find(({ index: own }) => {
    if (own?.lastCommit === undefined) return false;
    return orEqual ? own.lastCommit >= time : own.lastCommit > time;
  });
  expect(await catalog.firstSegmentWithCommitAfter(NEAR, MAIN, within, time, orEqual)).toBe(after?.segment);
  const holding = inside.filter(({ index: own }) => {
    if (own?.firstXid === undefined || own.lastXid === undefined) return false;
    return (wanted - own.firstXid) >>> 0 <= (own.lastXid - own.firstXid) >>> 0;
  });
  expect(await catalog.segmentsThatMayHoldXid(NEAR, MAIN, within, wanted)).toEqual(
    holding.map(({ segment }) => segment),
  );
}
