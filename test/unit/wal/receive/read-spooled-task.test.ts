import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isWaldenError } from '../../../../src/errors.ts';
import { readSpooled, type ReadSpooledInput } from '../../../../src/wal/receive/read-spooled-task.ts';
import { newDirectory } from '../../../support/sandbox.ts';
import { commit, filler, restorePoint, WalBuilder } from '../../../support/wal-builder.ts';

const SEGMENT = 1 << 20;

/** A segment that ends with a commit of transaction 7 and a restore point, at `end`. */
function begun(fillers: number) {
  const builder = new WalBuilder();
  for (let count = 0; count < fillers; count += 1) builder.add(filler(3000));
  builder.add(commit(7, 5n));
  const end = builder.add(restorePoint('here', 6n));
  const used = Number(end - builder.start);
  return { builder, end, used, bytes: builder.segments[0]!.subarray(0, used) };
}

function inputOf(builder: WalBuilder, bytes: Uint8Array, more: Partial<ReadSpooledInput> = {}): ReadSpooledInput {
  const source = join(newDirectory('spooled'), 'segment.partial');
  writeFileSync(source, bytes);
  const { timeline, segment, ...identity } = builder.expectation();
  return {
    ...{
      source,
      identity,
      timeline,
      segment,
      usableBytes: undefined,
      isWhole: false,
      xid: undefined,
      target: undefined,
    },
    ...more,
  };
}

function targetPath(): string {
  const directory = join(newDirectory('filled'), 'pg_wal');
  mkdirSync(directory);
  return join(directory, 'segment');
}

describe('reading an unfinished segment', () => {
  it.each([0, 3, 200])('finds what its records say, up to where they end (%i records before)', (fillers) => {
    const { builder, bytes, end } = begun(fillers);
    const read = readSpooled(inputOf(builder, bytes, { xid: 7 }));
    expect(read).toMatchObject({ end, index: { commits: 1, lastXid: 7, restorePoints: [{ name: 'here', lsn: end }] } });
    expect(read?.transactionEnds).toHaveLength(1);
    expect(readSpooled(inputOf(builder, bytes))?.transactionEnds).toEqual([]);
  });

  it('takes no more than may be used', () => {
    const { builder, bytes } = begun(9);
    const before = builder.add(filler(100));
    const usableBytes = Number(before - builder.start) + 20;
    builder.add(commit(8, 9n));
    const path = targetPath();
    const target = { path, owner: undefined, isLasting: true };
    const all = builder.segments[0]!;
    expect(readSpooled(inputOf(builder, all, { usableBytes, target }))).toMatchObject({
      end: before,
      index: { lastXid: 7 },
    });
    const filled = readFileSync(path);
    expect(filled.length).toBe(SEGMENT);
    expect(filled.subarray(0, bytes.length).equals(bytes)).toBe(true);
    expect(filled.subarray(usableBytes).every((byte) => byte === 0)).toBe(true);
  });

  it('ends before a record that is cut off, on its page or behind it', () => {
    const { builder, end, used } = begun(5);
    builder.add(filler(30_000));
    for (const more of [8, 24, 100, 9_000, 20_000]) {
      const cut = builder.segments[0]!.subarray(0, used + more);
      expect(readSpooled(inputOf(builder, cut))?.end).toBe(end);
    }
  });

  it('counts the end of a record that began in the segment before', () => {
    const builder = new WalBuilder({ continuation: 100 });
    const end = builder.position;
    const bytes = builder.segments[0]!.subarray(0, Number(end - builder.start));
    expect(readSpooled(inputOf(builder, bytes))).toMatchObject({ end, lastRecord: undefined });
  });

  it('makes a file of the size of a segment, for its owner alone', () => {
    const { builder, bytes } = begun(40);
    const path = targetPath();
    readSpooled(inputOf(builder, bytes, { target: { path, owner: undefined, isLasting: true } }));
    expect(readFileSync(path).equals(Buffer.concat([bytes], SEGMENT))).toBe(true);
    const { mode, blocks } = statSync(path);
    expect(mode & 0o777).toBe(0o600);
    // No hole, which later WAL could find the disk too full for.
    expect(blocks * 512).toBeGreaterThanOrEqual(SEGMENT);
  });

  it('leaves the zeros out of a file that is not to last', () => {
    const { builder, bytes } = begun(40);
    const path = targetPath();
    readSpooled(inputOf(builder, bytes, { target: { path, owner: undefined, isLasting: false } }));
    expect(readFileSync(path).equals(Buffer.concat([bytes], SEGMENT))).toBe(true);
    expect(statSync(path).blocks * 512).toBeLessThan(SEGMENT);
  });

  it('makes no file of what is another segment, or is not whole where it should be', () => {
    const { builder, bytes } = begun(40);
    const path = targetPath();
    const target = { path, owner: undefined, isLasting: true };
    const other = inputOf(builder, bytes, { target, segment: 9n });
    for (const input of [other, inputOf(builder, bytes, { target, isWhole: true })]) {
      let error: unknown;
      try {
        readSpooled(input);
      } catch (thrown) {
        error = thrown;
      }
      expect(isWaldenError(error, 'FORMAT_INVALID')).toBe(true);
      expect(existsSync(path)).toBe(false);
    }
  });

  it('says when the file is gone, and makes none then', () => {
    const { builder, bytes } = begun(1);
    const path = targetPath();
    const gone = { source: join(newDirectory('gone'), 'segment'), target: { path, owner: undefined, isLasting: true } };
    expect(readSpooled(inputOf(builder, bytes, gone))).toBeUndefined();
    expect(existsSync(path)).toBe(false);
  });
});
