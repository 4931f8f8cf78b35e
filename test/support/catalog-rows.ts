import type {
  BackupFacts,
  BackupId,
  BackupStart,
  ClusterIdentity,
  ClusterName,
  RepositoryName,
  WalFileRecord,
  WalIndex,
} from '../../catalog/catalog.ts';
import type { NodeRecord } from '../../catalog/nodes.ts';
import type { Lsn, SystemIdentifier, TimelineId } from '../../src/postgres/lsn.ts';
import type { Micros } from '../../src/postgres/timestamp.ts';
import { historyName, type SegmentBytes, segmentName, type WalFileName } from '../../src/postgres/wal-name.ts';
import type { ObjectKey, Sha256Hex } from '../../storage-drivers/driver.ts';

/** Rows for tests of the catalog: every fact has a default that a test may name otherwise. */

export const MAIN = 'main' as ClusterName;
export const NEAR = 'near' as RepositoryName;
export const FAR = 'far' as RepositoryName;
export const SEGMENT_BYTES = (16 * 1024 * 1024) as SegmentBytes;
export const BEGIN = 1_800_000_000_000_000;

export const IDENTITY: ClusterIdentity = {
  // More than 2^63: a signed integer would not hold it.
  systemIdentifier: '17546000000000000001' as SystemIdentifier,
  majorVersion: 17,
  segmentBytes: SEGMENT_BYTES,
};

export const NO_INDEX: WalIndex = {
  firstCommit: undefined,
  lastCommit: undefined,
  commits: 0,
  firstXid: undefined,
  lastXid: undefined,
  restorePoints: [],
  restorePointsOmitted: 0,
};

export function sha(digit: string): Sha256Hex {
  return digit.repeat(64).slice(0, 64) as Sha256Hex;
}

export function micros(offset: number): Micros {
  return (BEGIN + offset) as Micros;
}

export function timeline(number: number): TimelineId {
  return number as TimelineId;
}

/** A segment with one commit, one second after that of the segment before. */
export function segmentRow(segment: bigint | number, facts: Partial<WalFileRecord> = {}): WalFileRecord {
  const number = BigInt(segment);
  const at = micros(Number(number) * 1_000_000);
  const own = facts.timeline ?? timeline(1);
  const name = facts.name ?? segmentName(own, number, SEGMENT_BYTES);
  const xid = Number(number) * 10 + 1000;
  return {
    repository: NEAR,
    cluster: MAIN,
    name,
    kind: 'segment',
    timeline: own,
    segment: number,
    key: `main/wal/${name}.zst` as ObjectKey,
    plainBytes: SEGMENT_BYTES,
    storedBytes: 1000,
    sha256: sha('a'),
    archivedAt: at,
    index: { ...NO_INDEX, firstCommit: at, lastCommit: at, commits: 1, firstXid: xid, lastXid: xid + 9 },
    history: undefined,
    ...facts,
  };
}

/** The index of a segment that `segmentRow` makes, with some facts otherwise. */
export function index(facts: Partial<WalIndex>): WalIndex {
  return { ...NO_INDEX, ...facts };
}

export function historyRow(own: number, text: string): WalFileRecord {
  const name = historyName(timeline(own));
  return segmentRow(0, {
    name,
    kind: 'history',
    timeline: timeline(own),
    segment: undefined,
    plainBytes: text.length,
    index: undefined,
    history: text,
    key: `main/wal/${name}.zst` as ObjectKey,
  });
}

export function partialRow(segment: number, facts: Partial<WalFileRecord> = {}): WalFileRecord {
  const name = `${segmentName(timeline(1), BigInt(segment), SEGMENT_BYTES)}.partial` as WalFileName;
  return segmentRow(segment, { name, kind: 'partial', ...facts });
}

export function backupStart(facts: Partial<BackupStart> = {}): BackupStart {
  return {
    repository: NEAR,
    cluster: MAIN,
    id: '20261122T021500F' as BackupId,
    label: 'nightly',
    startedAt: micros(0),
    ...facts,
  };
}

export const FACTS: BackupFacts = {
  identity: IDENTITY,
  parent: undefined,
  timeline: timeline(3),
  startLsn: 0xffff_ffff_0000_0028n as Lsn,
  stopLsn: 0xffff_ffff_0000_0100n as Lsn,
  stoppedAt: micros(5),
  finishedAt: micros(9),
  files: 1234,
  plainBytes: 5_000_000_000_000,
  storedBytes: 1_000_000_000_000,
  checksumsVerified: true,
  corruptPages: [{ path: 'base/5/16384', blocks: [1, 7] }],
  tablespaces: [{ oid: 16_400, location: '/srv/fast disk' }],
};

export function nodeRow(name: string, facts: Partial<NodeRecord> = {}): NodeRecord {
  return {
    ...{ cluster: MAIN, name, host: name, dataDirectory: '/srv/data', slot: 'walden_standby_db1', origin: 'clone' },
    conninfo: `host=${name} port=5433`,
    registeredAt: micros(1),
    seen: undefined,
    ...facts,
  };
}
