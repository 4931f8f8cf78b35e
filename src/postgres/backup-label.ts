import { WaldenError } from '../errors.ts';
import { type Lsn, parseLsn, type TimelineId, timelineId } from './lsn.ts';
import { parseWalName, type WalFileName } from './wal-name.ts';

export interface BackupLabel {
  readonly startLsn: Lsn;
  /** The segment that holds the start. */
  readonly startSegment: WalFileName;
  readonly timeline: TimelineId;
  /** Only in a backup history file. */
  readonly stopLsn: Lsn | undefined;
  /** LSN of the backup that this one is an increment of; undefined for a full one. */
  readonly incrementalFrom: Lsn | undefined;
  /** Timeline on which that one started. */
  readonly incrementalFromTimeline: TimelineId | undefined;
}

/**
 * Parses `backup_label`, and the backup history file (`.backup`), which says the same and where the backup stopped
 * (build_backup_content in xlogbackup.c).
 * @throws FORMAT_INVALID
 */
export function parseBackupLabel(text: string): BackupLabel {
  const start = /^START WAL LOCATION: ([0-9A-F]+\/[0-9A-F]+) \(file ([0-9A-F]{24})\)$/m.exec(text);
  if (start?.[1] === undefined || start[2] === undefined) {
    throw new WaldenError('FORMAT_INVALID', 'the backup label does not say where the backup starts');
  }
  const stop = /^STOP WAL LOCATION: ([0-9A-F]+\/[0-9A-F]+) \(file [0-9A-F]{24}\)$/m.exec(text)?.[1];
  const timeline = /^START TIMELINE: (\d{1,10})$/m.exec(text)?.[1];
  if (timeline === undefined) {
    throw new WaldenError('FORMAT_INVALID', 'the backup label does not say on which timeline the backup starts');
  }
  const fromTimeline = /^INCREMENTAL FROM TLI: (\d{1,10})$/m.exec(text)?.[1];
  const from = /^INCREMENTAL FROM LSN: ([0-9A-F]+\/[0-9A-F]+)$/m.exec(text)?.[1];
  return {
    startLsn: parseLsn(start[1]),
    startSegment: parseWalName(start[2]).name,
    timeline: timelineId(Number(timeline)),
    stopLsn: stop === undefined ? undefined : parseLsn(stop),
    incrementalFrom: from === undefined ? undefined : parseLsn(from),
    incrementalFromTimeline: fromTimeline === undefined ? undefined : timelineId(Number(fromTimeline)),
  };
}

/** Whether the label is that of an increment. */
export function isIncrementalLabel(text: string): boolean {
  return /^INCREMENTAL FROM LSN: /m.test(text);
}

/** The label as it stands beside whole files: recovery refuses one that is said to be an increment (read_backup_label). */
export function fullBackupLabel(text: string): string {
  return text.replaceAll(/^INCREMENTAL FROM (LSN|TLI): .*\n/gm, '');
}
