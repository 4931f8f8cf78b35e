import { describe, expect, it } from 'vitest';
import { isWaldenError, type WaldenError } from '../../../src/errors.ts';
import type { TimelineId } from '../../../src/postgres/lsn.ts';
import { decide } from '../../../src/restore/decide.ts';
import { parseTarget } from '../../../src/restore/target.ts';
import type { Choice } from '../../../src/restore/choose.ts';
import type { Micros } from '../../../src/postgres/timestamp.ts';
import type { TargetRequest } from '../../../src/service/api.ts';
import { lookupsOf, type SimArchive, type SimRecord, viewOf } from '../../support/recovery-simulator.ts';

const MIB = 1n << 20n;

/** Commits at 10, 20, … µs, one at the start of each segment from 1 on; the one at `n` has xid 100 + n. */
function commits(from: number, to: number, timeShift = 0): readonly SimRecord[] {
  return Array.from({ length: to - from + 1 }, (_, index) => {
    const segment = from + index;
    const start = BigInt(segment) * MIB;
    return {
      start,
      end: start + 4096n,
      time: 10 * segment + timeShift,
      kind: 'commit' as const,
      xid: 100 + segment,
      name: '',
    };
  });
}

function backupAt(id: string, segment: number, timeline = 1): SimArchive['backups'][number] {
  const start = BigInt(segment) * MIB + 8192n;
  return { id, timeline, start, stop: start + 4096n, stoppedAt: 10 * segment + 5 };
}

function stored(timeline: number, ...segments: readonly number[]): readonly string[] {
  return segments.map((segment) => `${timeline}/${segment}`);
}

const straight: SimArchive = {
  timelines: [{ id: 1, ancestors: [], records: commits(1, 9) }],
  backups: [backupAt('b1', 2), backupAt('b2', 5)],
  stored: new Set(stored(1, 1, 2, 3, 4, 5, 6, 7, 8, 9)),
};

const forked: SimArchive = {
  timelines: [
    ...straight.timelines,
    { id: 2, ancestors: [{ timeline: 1, switchLsn: 4n * MIB + 4096n }], records: commits(5, 6, 3) },
  ],
  backups: [backupAt('b1', 2)],
  stored: new Set([...straight.stored, ...stored(2, 4, 5, 6)]),
};

function choose(archive: SimArchive, request: TargetRequest): Promise<Choice> {
  const parsed = parseTarget({ ...request, ...(request.kind === 'time' ? { value: '2026-01-01Z' } : {}) }, 0 as Micros);
  const inclusive = request.exclusive !== true;
  const target =
    request.kind === 'time'
      ? { kind: 'time' as const, time: Number(request.value) as Micros, inclusive }
      : parsed.target;
  return decide(viewOf(archive), { ...parsed, target }, lookupsOf(archive));
}

async function refusal(archive: SimArchive, request: TargetRequest): Promise<WaldenError> {
  const error = await choose(archive, request).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isWaldenError(error)) throw new Error(`not refused: ${String(error)}`);
  return error;
}

describe('decide', () => {
  it('takes the newest backup that ended before the target', async () => {
    expect((await choose(straight, { kind: 'time', value: '60' })).candidate.backup.id).toBe('b2');
    expect((await choose(straight, { kind: 'time', value: '54' })).candidate.backup.id).toBe('b1');
  });

  it('needs a commit after the target, and for an exclusive one a commit at it', async () => {
    expect((await choose(straight, { kind: 'time', value: '89' })).to).toBe(9n);
    expect((await choose(straight, { kind: 'time', value: '90', exclusive: true })).to).toBe(9n);
    const error = await refusal(straight, { kind: 'time', value: '90' });
    expect(error.code).toBe('TARGET_UNREACHABLE');
    expect(error.message).toContain('its last commit is of 1970-01-01 00:00:00.00009 UTC');
    expect(error.hint).toContain('--latest');
  });

  it('names the earliest moment for a target before every backup', async () => {
    const error = await refusal(straight, { kind: 'time', value: '15' });
    expect(error.code).toBe('TARGET_UNREACHABLE');
    expect(error.message).toContain('b1 ended at 1970-01-01 00:00:00.000025 UTC');
    expect(error.details['nearest']).toEqual({ kind: 'time', value: '1970-01-01T00:00:00.000025Z' });
    const byLsn = await refusal(straight, { kind: 'lsn', value: '0/100000' });
    expect(byLsn.hint).toContain('--lsn 0/203000');
  });

  it('says where the hole is that lies before the target', async () => {
    const holed = { ...straight, stored: new Set([...straight.stored].filter((file) => !/\/[67]$/.test(file))) };
    const error = await refusal(holed, { kind: 'time', value: '75' });
    expect(error.code).toBe('ARCHIVE_GAP');
    expect(error.message).toContain('segments 000000010000000000000006 to 000000010000000000000007 are missing');
    expect((await choose(holed, { kind: 'latest' })).notes.join()).toContain('000000010000000000000006');
  });

  it('names the backup with the end before a hole: --latest alone would begin with one after it', async () => {
    const intact = [...straight.stored].filter((file) => !/\/[67]$/.test(file));
    const holed = { ...straight, stored: new Set(intact), backups: [...straight.backups, backupAt('b3', 8)] };
    expect((await choose(holed, { kind: 'latest' })).candidate.backup.id).toBe('b3');
    for (const [kind, value] of [
      ['time', '75'],
      ['lsn', '0/680000'],
    ] as const) {
      expect((await refusal(holed, { kind, value })).hint).toContain('--latest --backup b2 (');
    }
  });

  it('says which of its own WAL a backup lacks', async () => {
    const holed = { ...straight, stored: new Set([...straight.stored].filter((file) => !/\/5$/.test(file))) };
    const error = await refusal({ ...holed, backups: [backupAt('b2', 5)] }, { kind: 'immediate' });
    expect(error.code).toBe('ARCHIVE_GAP');
    expect(error.message).toContain('backup b2 lacks WAL between its start and its stop');
    expect(error.message).toContain('segment 000000010000000000000005 is missing');
  });

  it('refuses what another timeline could reach, and says which', async () => {
    const error = await refusal(forked, { kind: 'time', value: '80' });
    expect(error.hint).toContain('--timeline 1');
    expect(error.details['otherTimeline']).toBe(1);
    expect((await choose(forked, { kind: 'time', value: '80', timeline: 1 })).candidate.view.timeline).toBe(1);
    expect((await choose(forked, { kind: 'xid', value: '106' })).candidate.view.timeline).toBe(2);
  });

  it('takes the newest timeline for the end of the WAL, and says that another goes on further', async () => {
    const choice = await choose(forked, { kind: 'latest' });
    expect(choice.candidate.view.timeline).toBe(2);
    expect(choice.spans.map(({ timeline, from, to }) => [timeline, from, to])).toEqual([
      [1, 2n, 3n],
      [2, 4n, 6n],
    ]);
    expect(choice.notes.join()).toContain('timeline 1');
  });

  it("refuses to mix the histories where the new timeline's first segment is not archived", async () => {
    const young = { ...forked, stored: straight.stored };
    const error = await refusal(young, { kind: 'latest' });
    expect(error.code).toBe('ARCHIVE_GAP');
    expect(error.hint).toContain('--timeline 1');
  });

  it('refuses a timeline that it does not know, and names those it does', async () => {
    const error = await refusal(forked, { kind: 'latest', timeline: 7 });
    expect(error.code).toBe('TARGET_UNREACHABLE');
    expect(error.hint).toContain('2, 1');
  });

  it('refuses a backup that ended after the fork', async () => {
    const error = await refusal({ ...forked, backups: [backupAt('b2', 5)] }, { kind: 'latest', timeline: 2 });
    expect(error.code).toBe('TARGET_UNREACHABLE');
    expect(error.hint).toContain('--timeline 1');
  });

  it("recovers to a backup's own end on its own timeline", async () => {
    const choice = await choose(forked, { kind: 'immediate' });
    expect([choice.candidate.view.timeline, choice.from, choice.to]).toEqual([1 as TimelineId, 2n, 2n]);
  });

  it('asks for a backup where there is none', async () => {
    const error = await refusal({ ...straight, backups: [] }, { kind: 'latest' });
    expect(error.hint).toContain('walden backup main');
  });

  it('says that a transaction or restore point is not in the archive', async () => {
    expect((await refusal(straight, { kind: 'xid', value: '999' })).message).toContain('transaction 999 neither');
    expect((await refusal(straight, { kind: 'name', value: 'x' })).message).toContain('restore point "x"');
  });
});
