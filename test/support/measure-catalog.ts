import { statSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { SqliteCatalog } from '../../catalog/sqlite/sqlite-catalog.ts';
import { FAR, index, MAIN, micros, NEAR, segmentRow, timeline } from './catalog-rows.ts';
import { newDirectory, removeDirectory } from './sandbox.ts';

/**
 * Fills a catalog with as many segments as the first argument says (1,000,000) and prints how long its questions take. Run by
 * hand: `node dist/test/support/measure-catalog.js`.
 */
const segments = Number(process.argv[2] ?? 1_000_000);
const first = 5_000;
const span = { timeline: timeline(1), from: BigInt(first + 100), to: BigInt(first + segments - 100) };
const directory = newDirectory('measure');
const path = join(directory, 'catalog.sqlite');

async function measure(what: string, work: (catalog: SqliteCatalog) => Promise<unknown>): Promise<void> {
  const durations: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const begin = performance.now();
    await work(catalog);
    durations.push(performance.now() - begin);
  }
  durations.sort((a, b) => a - b);
  console.log(`${what}: ${(durations[2] ?? 0).toFixed(2)} ms (most ${(durations[4] ?? 0).toFixed(2)})`);
}

const filling = SqliteCatalog.open(path, { durability: 'at-close' });
let begin = performance.now();
for (let number = first; number < first + segments; number += 1) {
  // Commit times ascend but for a second here and there; transactions go round.
  const commit = micros(number * 1_000_000 - (number % 7) * 300_000);
  const xid = (number * 5_000) % 0x1_0000_0000;
  const facts = { firstCommit: commit, lastCommit: micros(number * 1_000_000 + 999_999), commits: 5_000 };
  const points = number % 10_000 === 0 ? [{ name: `p${number}`, lsn: 1n as never, time: commit }] : [];
  const xids = { firstXid: xid, lastXid: (xid + 4_999) % 0x1_0000_0000 };
  await filling.recordWalFile(segmentRow(number, { index: index({ ...facts, ...xids, restorePoints: points }) }));
}
console.log(
  `recording ${segments} segments, not synced: ${((performance.now() - begin) / segments).toFixed(4)} ms each`,
);
await filling.close();
console.log(`the file: ${(statSync(path).size / segments).toFixed(0)} bytes for each segment`);

const catalog = SqliteCatalog.open(path);
let next = first + segments;
let oldest = first;
const middle = micros((first + Math.floor(segments / 2)) * 1_000_000);
await measure('recordWalFile, synced', (c) => c.recordWalFile(segmentRow((next += 1))));
await measure('forgetWalFile, the oldest, synced', (c) => c.forgetWalFile(NEAR, MAIN, segmentRow((oldest += 1)).name));
await measure('forgetWalFile, in the middle, synced', (c) =>
  c.forgetWalFile(NEAR, MAIN, segmentRow(Math.floor(segments / 2) + (oldest += 1)).name),
);
await measure('walFile', (c) => c.walFile(NEAR, MAIN, segmentRow(first + 500).name));
await measure('walRanges', (c) => c.walRanges(NEAR, MAIN));
await measure('commitBounds', (c) => c.commitBounds(NEAR, MAIN, span));
await measure('firstSegmentWithCommitAfter', (c) => c.firstSegmentWithCommitAfter(NEAR, MAIN, span, middle, false));
await measure('segmentsThatMayHoldXid', (c) => c.segmentsThatMayHoldXid(NEAR, MAIN, span, 123_456_789));
await measure('restorePoints', (c) => c.restorePoints(NEAR, MAIN, 'p20000'));
await measure('timelineHistories', (c) => c.timelineHistories(NEAR, MAIN));
await measure('lastArchived', (c) => c.lastArchived(NEAR, MAIN));
await measure('an archive that is not there', (c) => c.commitBounds(FAR, MAIN, span));
begin = performance.now();
let seen = 0;
for await (const { name } of catalog.walFiles(NEAR, MAIN)) seen += name.length > 0 ? 1 : 0;
console.log(`walFiles: ${((performance.now() - begin) / 1000).toFixed(2)} s for ${seen}`);
begin = performance.now();
const problems = await catalog.problems();
console.log(`problems: ${((performance.now() - begin) / 1000).toFixed(2)} s, ${problems.length} found`);
await catalog.close();
removeDirectory(directory);
