import { createHash } from 'node:crypto';
import type { BackupFacts, BackupId, BackupStart, ClusterIdentity, WalFileRecord } from '../catalog/catalog.ts';
import { type Lsn, formatLsn, systemIdentifier } from '../src/postgres/lsn.ts';
import type { Micros } from '../src/postgres/timestamp.ts';
import { parseWalName, segmentName, segmentStart } from '../src/postgres/wal-name.ts';
import { walKey } from '../src/repository/keys.ts';
import type { Sha256Hex } from '../storage-drivers/driver.ts';
import {
  backupStart,
  FACTS,
  historyRow,
  IDENTITY,
  index,
  MAIN,
  SEGMENT_BYTES,
  segmentRow,
  timeline,
} from '../test/support/catalog-rows.ts';

/** The system whose segments `WalBuilder` writes. */
export const BUSY: ClusterIdentity = { ...IDENTITY, systemIdentifier: systemIdentifier('7300000000000000001') };

export interface ArchiveSize {
  readonly segments: number;
  readonly backups: number;
}

const FIRST_SEGMENT = 5_000;
const BEGIN = Date.parse('2025-01-01T00:00:00Z') * 1000;
/** A million segments are a year; 2,000 backups in it are one every four hours. */
const MICROS_OF_SEGMENT = 30_000_000;
export const TRANSACTIONS_OF_SEGMENT = 5_000;
const TIMELINES = 5;
const GAPS = 40;
const GAP_SEGMENTS = 3;

/**
 * An archive as the catalog of a busy cluster knows it, each row from its number alone: five timelines that follow one
 * another, 40 gaps, transaction ids that go round, long transactions now and then, commit times that ascend nearly.
 * Positions count segments from the first one on, the missing ones too.
 */
export class ArchiveShape {
  readonly positions: number;
  readonly size: ArchiveSize;

  constructor(size: ArchiveSize) {
    this.size = size;
    this.positions = size.segments + GAPS * GAP_SEGMENTS;
  }

  isMissing(position: number): boolean {
    const spacing = this.positions / (GAPS + 1);
    const gap = Math.floor(position / spacing);
    return gap >= 1 && gap <= GAPS && position - Math.ceil(gap * spacing) < GAP_SEGMENTS;
  }

  segment(position: number): bigint {
    return BigInt(FIRST_SEGMENT + position);
  }

  timelineOf(position: number): number {
    return Math.min(TIMELINES, Math.floor((position * TIMELINES) / this.positions) + 1);
  }

  /** When the segment begins. */
  moment(position: number): Micros {
    return (BEGIN + position * MICROS_OF_SEGMENT) as Micros;
  }

  firstXid(position: number): number {
    return (1000 + position * TRANSACTIONS_OF_SEGMENT) % 0x1_0000_0000;
  }

  row(position: number): WalFileRecord {
    const segment = this.segment(position);
    const own = timeline(this.timelineOf(position));
    const name = segmentName(own, segment, SEGMENT_BYTES);
    // Whatever commits here began up to 3,000 transactions before; now and then one that ran for hours.
    const earliest = Math.max(0, position * TRANSACTIONS_OF_SEGMENT - (position % 997 === 0 ? 2_500_000 : 3_000));
    const begin = this.moment(position) - (position % 7) * 300_000;
    const end = begin + MICROS_OF_SEGMENT;
    const facts = {
      firstCommit: begin as Micros,
      lastCommit: end as Micros,
      commits: TRANSACTIONS_OF_SEGMENT,
      firstXid: (1000 + earliest) % 0x1_0000_0000,
      lastXid: this.firstXid(position + 1) - 1,
    };
    const point = { name: `point ${position}`, lsn: (segmentStart(segment, SEGMENT_BYTES) + 4096n) as Lsn };
    const restorePoints = position % 10_000 === 0 ? [{ ...point, time: begin as Micros }] : [];
    return segmentRow(segment, {
      timeline: own,
      name,
      key: walKey(MAIN, parseWalName(name)),
      storedBytes: 5_000_000 + (position % 1000) * 1000,
      sha256: createHash('sha256').update(name).digest('hex') as Sha256Hex,
      archivedAt: (end + 1_000_000) as Micros,
      // A bulk load commits nothing for a while.
      index: position % 1000 === 500 ? index({}) : index({ ...facts, restorePoints }),
    });
  }

  /** Of every timeline but the first. Each forks off in the middle of its first segment. */
  histories(): readonly WalFileRecord[] {
    const lines: string[] = [];
    return Array.from({ length: TIMELINES - 1 }, (_, at) => {
      const own = at + 2;
      const position = Math.ceil(((own - 1) * this.positions) / TIMELINES);
      const switchLsn = (segmentStart(this.segment(position), SEGMENT_BYTES) + BigInt(SEGMENT_BYTES / 2)) as Lsn;
      lines.push(`${own - 1}\t${formatLsn(switchLsn)}\tno recovery target specified\n`);
      return { ...historyRow(own, lines.join('')), archivedAt: this.moment(position) };
    });
  }

  *backups(): Generator<{ readonly start: BackupStart; readonly facts: BackupFacts }> {
    for (let number = 0; number < this.size.backups; number += 1) {
      const position = Math.floor(((number + 0.5) * this.positions) / this.size.backups);
      const startedAt = this.moment(position);
      const startLsn = segmentStart(this.segment(position), SEGMENT_BYTES) + 0x28n;
      const stoppedAt = (startedAt + MICROS_OF_SEGMENT) as Micros;
      const id = `${new Date(startedAt / 1000).toISOString().replace(/[-:]|\..*/g, '')}F` as BackupId;
      yield {
        start: backupStart({ id, startedAt }),
        facts: {
          ...FACTS,
          identity: BUSY,
          timeline: timeline(this.timelineOf(position)),
          startLsn: startLsn as Lsn,
          stopLsn: (startLsn + BigInt(SEGMENT_BYTES)) as Lsn,
          stoppedAt,
          finishedAt: (stoppedAt + 1_000_000) as Micros,
          corruptPages: number % 100 === 0 ? FACTS.corruptPages : [],
        },
      };
    }
  }
}
