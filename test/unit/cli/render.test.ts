import { describe, expect, it } from 'vitest';
import { renderBackup, renderBackupList, renderFileLine } from '../../../src/cli/render/backups.ts';
import { renderPlan } from '../../../src/cli/render/plan.ts';
import { renderStatus } from '../../../src/cli/render/status.ts';
import type { BackupDocument, PlanDocument, ReceiverDocument, StatusDocument } from '../../../src/service/api.ts';

const NOW = new Date('2026-11-22T12:00:00Z');
const VERIFIED = { oldestAt: null, neverSegments: 9, neverBackups: 1, damagedObjects: 0, damaged: [] };
const BACKUP: BackupDocument = {
  repository: 'local',
  cluster: 'main',
  id: '20261122T021500F',
  label: 'nightly',
  state: 'complete',
  startedAt: '2026-11-22T02:15:00.000000Z',
  error: null,
  facts: {
    systemIdentifier: '7421000000000000001',
    majorVersion: 15,
    segmentBytes: 16777216,
    parent: null,
    timeline: 1,
    startLsn: '0/2000028',
    stopLsn: '0/2000100',
    stoppedAt: '2026-11-22T02:20:00.000000Z',
    finishedAt: '2026-11-22T02:20:30.000000Z',
    files: 1234,
    plainBytes: 5 * 1024 ** 3,
    storedBytes: 1.5 * 1024 ** 3,
    checksumsVerified: true,
    corruptPages: [],
    tablespaces: [],
  },
};

function status(change: Partial<StatusDocument['clusters'][number]> = {}): StatusDocument {
  return {
    version: '0.1.0',
    catalogRebuild: null,
    clusters: [
      {
        name: 'main',
        systemIdentifier: '7421000000000000001',
        majorVersion: 15,
        repositories: [
          {
            name: 'local',
            required: true,
            failure: null,
            lag: null,
            lastArchived: { name: '00000001000000000000000A', at: '2026-11-22T11:59:48.000000Z' },
            windows: [
              {
                repository: 'local',
                timeline: 1,
                backup: BACKUP.id,
                earliest: '2026-11-22T02:20:00.000000Z',
                latest: '2026-11-22T11:58:00.000000Z',
                earliestLsn: '0/2000100',
                latestLsn: '0/A000000',
                points: [],
                holes: [
                  {
                    repository: 'local',
                    timeline: 1,
                    first: '000000010000000000000005',
                    last: '000000010000000000000006',
                    segments: 2,
                  },
                ],
              },
            ],
            lastBackup: BACKUP,
            verification: VERIFIED,
          },
        ],
        wal: { ready: 0, oldestReadyAt: null, refusals: [], writer: null, secondWriters: [] },
        receiver: null,
        jobs: [],
        ...change,
      },
    ],
  };
}

describe('showing the status', () => {
  it('says the recoverable window with its holes, the last backup and the last WAL in words', () => {
    expect(renderStatus(status(), NOW).split('\n')).toEqual([
      'main: PostgreSQL 15, system identifier 7421000000000000001',
      '  Recoverable on timeline 1:',
      '    from 2026-11-22 02:20:00 UTC to 2026-11-22 11:58:00 UTC, 9 h 38 min',
      '    LSN 0/2000100 to 0/A000000, beginning with backup 20261122T021500F',
      '    HOLE: 2 segments from 000000010000000000000005 to 000000010000000000000006 are missing',
      '      no backup before it reaches a moment after it',
      '  Last backup: 20261122T021500F, complete, finished 9 h 39 min ago, 1.5 GiB stored',
      '  Last WAL: 00000001000000000000000A, archived 12 s ago',
      '  Verified: never: 1 backup and 9 segments',
      '  WAL that waits: none',
    ]);
  });

  it('says how far the receiver is, what is wrong with it, and what was lost', () => {
    const receiver: ReceiverDocument = {
      ...{ state: 'streaming', host: 'db1', slot: 'walden_main', acknowledge: 'repository', timeline: 2 },
      ...{ receivedLsn: '0/A0000A0', flushedLsn: '0/A000080', acknowledgedLsn: '0/9000000', serverLsn: '0/A000180' },
      ...{ lagBytes: 256, lagSeconds: 2.4, retainedBytes: 16 * 1024 ** 2 + 384, waitingFiles: 1 },
      ...{ failure: null, gap: null, stoppedAt: null, follows: null },
    };
    const lines = (change: Partial<ReceiverDocument> = {}): readonly string[] =>
      renderStatus(status({ receiver: { ...receiver, ...change } }), NOW)
        .split('\n')
        .slice(9, -1);
    expect(lines()).toEqual([
      '  Receiver: streaming from db1, slot walden_main, timeline 2',
      '    received 0/A0000A0, in the spool 0/A000080, 256 B behind for 2 s',
      '    acknowledged 0/9000000: the slot keeps 16 MiB on the server',
      '    1 received file on the way into the repositories',
    ]);
    expect(lines({ lagBytes: 0, lagSeconds: 0, waitingFiles: 0 })[1]).toContain('behind by nothing');
    const error = { code: 'STORAGE_FULL', message: 'the spool is full', hint: 'free space', details: {} };
    expect(
      lines({
        ...{ state: 'waiting', receivedLsn: null, flushedLsn: null, acknowledgedLsn: null, waitingFiles: 0 },
        failure: { error, since: '2026-11-22T11:59:00.000000Z' },
        gap: {
          ...{ first: '000000020000000000000003', last: '000000020000000000000004' },
          noticedAt: '2026-11-22T11:58:00.000000Z',
        },
      }),
    ).toEqual([
      '  Receiver: waiting from db1, slot walden_main, timeline 2',
      '    TROUBLE, first noticed 1 min ago: the spool is full (STORAGE_FULL)',
      '      HINT: free space',
      '    LOST: WAL from 000000020000000000000003 to 000000020000000000000004, noticed 2 min ago',
      '      HINT: take a backup; nothing can be restored across this hole',
    ]);
    expect(
      lines({
        ...{ state: 'stopped', stoppedAt: '2026-11-22T09:00:00.000000Z', receivedLsn: null, acknowledgedLsn: null },
        ...{ waitingFiles: 0, follows: { conninfo: 'host=db2', since: '2026-11-22T11:00:00.000000Z' } },
      }).slice(1),
    ).toEqual([
      '    STOPPED by an operator 3 h ago: no WAL is received, and the slot walden_main keeps all of it on the server',
      '      HINT: start it before the disk there is full: walden receiver start main',
      '    it was told 1 h ago to follow: host=db2',
      '      to follow the configuration again: walden cluster follow main --configured',
    ]);
  });

  it('says what to do for a cluster that cannot be restored', () => {
    const repositories = [
      {
        ...{
          name: 'local',
          required: true,
          failure: null,
          lag: null,
          lastArchived: null,
          windows: [],
          lastBackup: null,
        },
        verification: VERIFIED,
      },
    ];
    const text = renderStatus(status({ repositories, systemIdentifier: null, majorVersion: null }), NOW);
    expect(text).toContain('main: nothing is known of it yet');
    expect(text).toContain('Not recoverable');
    expect(text).toContain('HINT: take one with: walden backup main');
  });

  it('shows a refused file with reason and hint, what waits and what runs', () => {
    const error = { code: 'ARCHIVE_DUPLICATE', message: 'other bytes are stored', hint: 'look at both', details: {} };
    const text = renderStatus(
      status({
        wal: {
          ready: 3,
          ...{ oldestReadyAt: '2026-11-22T11:55:00.000000Z', writer: null, secondWriters: [] },
          refusals: [
            {
              name: '00000001000000000000000B',
              error,
              firstAt: '2026-11-22T11:50:00.000000Z',
              lastAt: '2026-11-22T11:59:00.000000Z',
              attempts: 12,
            },
          ],
        },
        jobs: [
          {
            id: 'j1',
            kind: 'backup',
            cluster: 'main',
            state: 'running',
            startedAt: '2026-11-22T11:57:00.000000Z',
            finishedAt: null,
            progress: { phase: 'copy', doneBytes: 512, totalBytes: 1024, files: 2, bytesPerSecond: 128 },
            error: null,
            result: null,
          },
        ],
      }),
      NOW,
    );
    expect(text).toContain('WAL that waits: 3 files, the oldest from 5 min ago');
    expect(text).toContain('REFUSED: 00000001000000000000000B\n    12 attempts, first 10 min ago, last 1 min ago');
    expect(text).toContain('other bytes are stored (ARCHIVE_DUPLICATE)\n    HINT: look at both');
    expect(text).toContain(
      'Running: backup of main, begun 3 min ago\n    50% copy: 512 B of 1 KiB, 128 B/s, 4 s left, 2 files\n    job j1',
    );
  });

  it('names each repository when there are several', () => {
    const [cluster] = status().clusters;
    const [local] = cluster!.repositories;
    const text = renderStatus(status({ repositories: [local!, { ...local!, name: 'second' }] }), NOW);
    expect(text).toContain('  In repository second:\n    Recoverable on timeline 1');
  });
});

describe('showing backups', () => {
  it('lists one line per backup', () => {
    const lines = renderBackupList({ cluster: 'main', backups: [BACKUP] }, Number.POSITIVE_INFINITY).split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatch(
      /^20261122T021500F +complete +2026-11-22 02:20:30 UTC +5 min 30 s +5 GiB +1\.5 GiB +1 +local +nightly$/,
    );
  });

  it('says what an incremental backup builds on', () => {
    const parent = '20261121T021500F';
    const backup: BackupDocument = { ...BACKUP, id: '20261122T021500I', facts: { ...BACKUP.facts!, parent } };
    const list = renderBackupList({ cluster: 'main', backups: [BACKUP, backup] }, Number.POSITIVE_INFINITY).split('\n');
    expect(list[0]).toContain('BUILDS ON');
    expect(list[2]).toMatch(/^20261122T021500I .* 20261121T021500F +1 +local/);
    expect(renderBackup(backup)).toMatch(/^Builds on: +20261121T021500F$/m);
  });

  it('says what is kept, until when and why', () => {
    const kept = { ...BACKUP, kept: { until: '2027-12-31T00:00:00.000000Z', reason: 'audit of 2026' } };
    const list = renderBackupList({ cluster: 'main', backups: [BACKUP, kept] }, Number.POSITIVE_INFINITY).split('\n');
    expect(list[1]).not.toContain('kept');
    expect(list[2]).toMatch(/^20261122T021500F +complete, kept +2026-11-22/);
    expect(renderBackup(kept)).toMatch(/^Kept: +until 2027-12-31 00:00:00 UTC: audit of 2026$/m);
    expect(renderBackup({ ...BACKUP, kept: { until: null, reason: null } })).toMatch(/^Kept: +until it is released$/m);
    expect(renderBackup(BACKUP)).not.toContain('Kept');
  });

  it('is loud about corrupt pages', () => {
    const corruptPages = [{ path: 'base/5/1259', blocks: [3, 4] }];
    const text = renderBackup({ ...BACKUP, facts: { ...BACKUP.facts!, corruptPages } });
    expect(text).toContain('complete, with CORRUPT pages');
    expect(text).toContain('verified; 2 pages CORRUPT');
    expect(text).toMatch(/CORRUPT: +base\/5\/1259: blocks 3, 4/);
  });

  it('shows a file with its mode in octal', () => {
    const file = {
      path: 'PG_VERSION',
      type: 'file',
      bytes: 3,
      mode: 0o600,
      modifiedAt: BACKUP.startedAt,
      sha256: null,
    };
    expect(renderFileLine(file)).toBe('0600        3 B  2026-11-22 02:15:00 UTC  PG_VERSION');
  });
});

describe('showing a plan', () => {
  const PLAN: PlanDocument = {
    cluster: 'main',
    repository: 'local',
    backup: BACKUP,
    chain: [],
    target: 'time 2026-11-22 10:00:00 UTC',
    timeline: 2,
    path: [
      { timeline: 1, end: '0/5000000' },
      { timeline: 2, end: null },
    ],
    wal: { first: '000000010000000000000002', last: '000000020000000000000009', segments: 8 },
    unfinished: null,
    unstoredSegments: 0,
    restoreBytes: 5 * 1024 ** 3,
    storedBytes: 1024 ** 3,
    estimatedSeconds: 75,
    estimate: { restoreSeconds: 60, recoverySeconds: 15, by: 'the drill of 2026-11-21 02:00:00 UTC' },
    latest: null,
    notes: ['UTC is meant'],
  };

  it('says target, backup, timelines, WAL, cost and every note', () => {
    const text = renderPlan(PLAN);
    expect(text).toContain(
      '5 GiB to write, 1 GiB to read\nTime:       about 1 min 15 s: 1 min to write the files, 15 s to replay the WAL\n',
    );
    expect(text).toContain('as measured by the drill of 2026-11-21 02:00:00 UTC');
    expect(text).toContain(
      '8 segments, all in the archive\n            000000010000000000000002 to 000000020000000000000009',
    );
    expect(Math.max(...text.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(80);
    expect(text).toContain('1 until 0/5000000, then 2');
    expect(text).toMatch(/Note: +UTC is meant/);
  });

  it('says what an incremental backup builds on, and that not all of it may be read', () => {
    const chain = ['20261121T021500I', '20261120T021500F'];
    const text = renderPlan({ ...PLAN, chain });
    expect(text).toContain('building on 2 others, down to 20261120T021500F\n');
    expect(text).toContain('about 5 GiB to write, at most 1 GiB to read\n');
    expect(renderPlan({ ...PLAN, chain: chain.slice(1) })).toContain('building on 20261120T021500F\n');
  });

  it('says what of the WAL is in the spool only', () => {
    const unfinished = { segment: PLAN.wal.last, end: '0/9123450' };
    expect(renderPlan({ ...PLAN, unfinished, unstoredSegments: 3 })).toContain(
      '8 segments, 5 of them in the archive, 3 in the spool, the last one unfinished\n',
    );
    expect(renderPlan({ ...PLAN, unstoredSegments: 1 })).toContain(
      '8 segments, 7 of them in the archive, 1 in the spool\n',
    );
  });
});
