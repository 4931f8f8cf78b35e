import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { WorkerPool } from '../../../../src/platform/worker-pool.ts';
import { segmentName } from '../../../../src/postgres/wal-name.ts';
import { fillKept, readKeptTail } from '../../../../src/wal/receive/kept-tail.ts';
import { ReceiveSpool } from '../../../../src/wal/receive/receive-spool.ts';
import type { SpooledTail } from '../../../../src/wal/receive/spooled-tail.ts';
import { newDirectory } from '../../../support/sandbox.ts';
import { commit, filler, WalBuilder } from '../../../support/wal-builder.ts';
import { createWalPool } from '../../../support/wal-setup.ts';

const SEGMENT_BYTES = 1 << 20;
const { timeline, segment, ...identity } = new WalBuilder().expectation();
const NAME = segmentName(timeline, segment, identity.segmentBytes);

/** A segment as far as so many commits go, each with a large record before it; `from` makes other bytes. */
function begun(commits: number, from = 7): Buffer {
  const builder = new WalBuilder();
  let end = builder.start;
  for (let count = 0; count < commits; count += 1) {
    builder.add(filler(100_000));
    end = builder.add(commit(from + count, 5n));
  }
  return builder.segments[0]!.subarray(0, Number(end - builder.start));
}

describe('what was put aside of a timeline', () => {
  let pool: WorkerPool;
  let spool: ReceiveSpool;
  let kept: string;

  beforeAll(() => {
    pool = createWalPool();
  });
  afterAll(() => pool.close());
  beforeEach(() => {
    const directory = newDirectory('spool');
    kept = join(directory, 'receive', 'kept');
    mkdirSync(kept, { recursive: true });
    spool = new ReceiveSpool(directory);
  });

  /** In this order, from 1 on. */
  function putAside(...files: readonly Buffer[]): void {
    for (const [index, bytes] of files.entries()) writeFileSync(join(kept, `${NAME}.partial.${index + 1}`), bytes);
  }

  async function read(): Promise<SpooledTail> {
    return await readKeptTail(spool, { identity, pool, timeline });
  }

  async function chosen(): Promise<readonly string[]> {
    return (await read()).segments.map(({ keptAs }) => basename(keptAs ?? ''));
  }

  it('is nothing where nothing was, and where only other timelines and whole files were', async () => {
    expect(await chosen()).toEqual([]);
    writeFileSync(join(kept, `00000007${NAME.slice(8)}.partial.1`), begun(1));
    writeFileSync(join(kept, `${NAME}.1`), begun(1));
    writeFileSync(join(kept, '00000001.history.1'), '');
    expect(await chosen()).toEqual([]);
  });

  it('is the file that was put aside last', async () => {
    putAside(begun(1), begun(2));
    expect(await chosen()).toEqual([`${NAME}.partial.2`]);
    const [one] = (await read()).segments;
    expect(one).toMatchObject({ name: NAME, isWhole: false, index: { commits: 2 } });
  });

  it('is the tenth after the ninth', async () => {
    putAside(...Array.from({ length: 10 }, (_, index) => begun(1, 20 + index)));
    expect(await chosen()).toEqual([`${NAME}.partial.10`]);
  });

  it('is an earlier one that begins with the same bytes and goes further', async () => {
    putAside(begun(5), begun(6, 99), begun(2));
    expect(await chosen()).toEqual([`${NAME}.partial.1`]);
  });

  it('is not an earlier one that goes further with other bytes', async () => {
    putAside(begun(6, 99), begun(2));
    expect(await chosen()).toEqual([`${NAME}.partial.2`]);
  });

  it('leaves out what is none of the segment, and says so', async () => {
    putAside(begun(1), Buffer.alloc(20_000, 7));
    const { notes } = await read();
    expect(notes.join()).toContain(`${NAME}.partial.2, which was put aside, cannot be used`);
    expect(await chosen()).toEqual([`${NAME}.partial.1`]);
  });

  it('becomes a whole file, filled up with zeros', async () => {
    const bytes = begun(3);
    putAside(bytes);
    const [one] = (await read()).segments;
    const path = join(newDirectory('filled'), NAME);
    await fillKept(one!, { identity, pool }, { path, owner: undefined, isLasting: true });
    expect(readFileSync(path).equals(Buffer.concat([bytes], SEGMENT_BYTES))).toBe(true);
    expect(readFileSync(one!.keptAs!).equals(bytes)).toBe(true);
  });
});
