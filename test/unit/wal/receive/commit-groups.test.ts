import { describe, expect, it } from 'vitest';
import { CommitGroups } from '../../../../src/wal/receive/commit-groups.ts';

const SLOW_MS = 5;

/** Of a disk of which it is known that it is slow, and nothing else. */
function slowDisk(): CommitGroups {
  const groups = new CommitGroups();
  for (let i = 0; i < 50; i += 1) groups.wrote(SLOW_MS, false);
  return groups;
}

/** A write of `first`, while `others` come one after the other: with the wait, or while it is written. @returns how often it waited, and how many writes it took */
function round(groups: CommitGroups, others: number): { waits: number; writes: number } {
  let left = others;
  let waits = 0;
  let writes = 0;
  do {
    while (groups.waitMs !== undefined) {
      waits += 1;
      groups.waited(left > 0);
      if (left > 0) left -= 1;
    }
    writes += 1;
    groups.wrote(SLOW_MS, left > 0);
    // What came while the disk was busy is written next.
    left = Math.max(0, left - 1);
  } while (left > 0);
  return { waits, writes };
}

describe('CommitGroups', () => {
  it('never waits where nobody ever comes', () => {
    const groups = slowDisk();
    for (let i = 0; i < 100; i += 1) expect(round(groups, 0)).toEqual({ waits: 0, writes: 1 });
  });

  it('waits for the other once it came twice, and writes at once when it does not come any more', () => {
    const groups = slowDisk();
    const pair = (): boolean => {
      const waits = groups.waitMs !== undefined;
      if (waits) groups.waited(true);
      groups.wrote(SLOW_MS, !waits);
      // The other, where it was not waited for.
      if (!waits) groups.wrote(SLOW_MS, false);
      return waits;
    };
    expect([pair(), pair(), pair(), pair(), pair()]).toEqual([false, false, true, true, true]);
    const alone = Array.from({ length: 6 }, () => round(groups, 0).waits);
    expect(alone).toEqual([1, 1, 0, 0, 0, 0]);
  });

  it('learns how many come, and waits for as many', () => {
    for (const others of [1, 2, 3]) {
      const groups = slowDisk();
      for (let i = 0; i < 50; i += 1) round(groups, others);
      expect(round(groups, others).writes, `${others} others`).toBe(1);
    }
  });

  it('does not wait for a disk that is fast, however many come', () => {
    const groups = new CommitGroups();
    for (let i = 0; i < 500; i += 1) {
      expect(groups.waitMs).toBeUndefined();
      groups.wrote(0.4, i % 2 === 0);
    }
  });

  it('waits for no more than three others before a write', () => {
    const groups = slowDisk();
    for (let i = 0; i < 50; i += 1) round(groups, 30);
    let waits = 0;
    for (; groups.waitMs !== undefined; waits += 1) groups.waited(true);
    expect(waits).toBe(3);
  });

  it('waits as long as two writes usually take, whatever a stall took, and never long', () => {
    const groups = slowDisk();
    const learn = (milliseconds: number): void => {
      for (let i = 0; i < 200; i += 1) groups.wrote(milliseconds, true);
    };
    learn(4);
    expect(groups.waitMs).toBeGreaterThan(7);
    expect(groups.waitMs).toBeLessThan(9);
    groups.wrote(5_000, true);
    expect(groups.waitMs).toBeLessThan(9);
    learn(900);
    expect(groups.waitMs).toBe(20);
  });
});
