import type { ReportData } from '../../src/cli/report/report-data.ts';
import type { BackupDocument } from '../../src/service/api.ts';

/** A cluster of which a report has something of everything to show. */

const NASTY = `"><script>alert('x')</script>&amp;`;
const FIRST = '20261101T020000F';

function backup(id: string, day: string, parent: string | null): BackupDocument {
  return {
    ...{ repository: 'near', cluster: 'main', id, label: NASTY, state: 'complete', error: null },
    startedAt: `2026-11-${day}T02:00:00.000000Z`,
    facts: {
      ...{ systemIdentifier: '7', majorVersion: 17, segmentBytes: 16_777_216, parent, timeline: 1 },
      ...{ startLsn: '0/1', stopLsn: '0/2', stoppedAt: `2026-11-${day}T02:10:00.000000Z` },
      ...{ finishedAt: `2026-11-${day}T02:11:00.000000Z`, files: 10, plainBytes: 5e9, storedBytes: 1e9 },
      ...{ checksumsVerified: true, corruptPages: [], tablespaces: [] },
    },
  };
}

function range(first: string, last: string, from: string, to: string): ReportData['ranges'][number] {
  return {
    ...{ repository: 'near', timeline: 1, first, last, segments: 6, storedBytes: 3e7 },
    ...{ firstCommit: `2026-11-${from}T02:00:00.000000Z`, lastCommit: `2026-11-${to}T20:00:00.000000Z` },
  };
}

const error = { code: 'CHECKSUM_MISMATCH', message: NASTY, hint: '', details: {} };
const mark = {
  ...{ repository: 'near', key: `main/base/${FIRST}/data/00001`, walFile: null, backup: FIRST, error },
  foundAt: '2026-11-11T02:00:00.000000Z',
};
const gap = {
  repository: 'near',
  timeline: 1,
  first: '0000000100000000000000AA',
  last: '0000000100000000000000AB',
  segments: 2,
};

export const REPORT_DATA: ReportData = {
  ...{ at: new Date('2026-11-12T12:00:00Z'), version: '0.1.0' },
  status: {
    ...{ name: 'main', systemIdentifier: '7421000000000000001', majorVersion: 17, receiver: null, jobs: [] },
    wal: { ready: 0, oldestReadyAt: null, refusals: [], writer: null, secondWriters: [] },
    repositories: [
      {
        ...{ name: 'near', required: true, failure: null, lag: null, lastArchived: null, lastBackup: null },
        windows: [
          {
            ...{ repository: 'near', timeline: 1, backup: FIRST, earliestLsn: '0/2', latestLsn: '0/9' },
            ...{
              earliest: '2026-11-01T02:10:00.000000Z',
              latest: '2026-11-12T11:00:00.000000Z',
              holes: [gap],
              points: [],
            },
          },
        ],
        verification: { oldestAt: null, neverSegments: 1, neverBackups: 0, damagedObjects: 1, damaged: [mark] },
      },
    ],
  },
  backups: [
    backup(FIRST, '01', null),
    backup('20261104T020000I', '04', FIRST),
    { ...backup('20261108T020000F', '08', null), damaged: [mark] },
    backup('20261109T020000F', '09', null),
  ],
  ranges: [
    range('000000010000000000000001', '0000000100000000000000A9', '01', '05'),
    range('0000000100000000000000AC', '0000000100000000000000FF', '07', '11'),
  ],
  gaps: [gap],
  drills: [
    {
      ...{
        id: 'one',
        cluster: 'main',
        outcome: 'passed',
        target: NASTY,
        repository: 'near',
        backup: FIRST,
        error: null,
      },
      ...{ startedAt: '2026-11-10T03:00:00.000000Z', finishedAt: '2026-11-10T03:20:00.000000Z' },
      restore: { files: 10, bytes: 5e9, seconds: 600 },
      recovery: { walBytes: 1e9, seconds: 300 },
      reached: { timeline: 1, lsn: '0/9', lastCommit: null },
      checks: [{ name: NASTY, outcome: 'passed', detail: '' }],
    },
  ],
  verified: [
    {
      repository: 'near',
      backup: FIRST,
      objects: 3,
      first: null,
      last: null,
      verifiedAt: '2026-11-11T02:00:00.000000Z',
    },
    { repository: 'near', backup: null, objects: 169, first: gap.first, last: gap.last, verifiedAt: null },
  ],
};
