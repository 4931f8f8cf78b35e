import type { EventRecord, WalRange } from '../../../catalog/catalog.ts';
import type { Micros } from '../../postgres/timestamp.ts';
import { formatMicros, microsFromDate } from '../../postgres/timestamp.ts';
import { type SegmentBytes, segmentName } from '../../postgres/wal-name.ts';
import type { JobDocument } from '../api.ts';
import { backupDocument } from '../../repository/backup-document.ts';
import type { JobView } from '../jobs.ts';
import type { UpcomingRun } from '../schedule/scheduler.ts';
import type { EventDocument, UpcomingDocument } from '../watch-api.ts';

/** From the domain's values to the documents of the API. */

export function momentOrNull(value: Micros | undefined): string | null {
  return value === undefined ? null : formatMicros(value);
}

export { backupDocument };

export function jobDocument({ record, progress }: JobView): JobDocument {
  return {
    id: record.id,
    kind: record.kind,
    cluster: record.cluster ?? null,
    state: record.state,
    startedAt: formatMicros(record.startedAt),
    finishedAt: momentOrNull(record.finishedAt),
    progress: progress === undefined ? null : { ...progress },
    error: record.error === undefined ? null : { ...record.error },
    result: record.result ?? null,
  };
}

export function upcomingDocument({ schedule, kind, at, isWaiting }: UpcomingRun): UpcomingDocument {
  const { name, cluster, job, cron, timeZone } = schedule;
  const moment = at === undefined ? null : formatMicros(microsFromDate(at));
  return { schedule: name, cluster, job, kind, cron, timeZone, at: moment, waiting: isWaiting };
}

export function eventDocument({ cluster, subject, at, ...event }: EventRecord): EventDocument {
  return { ...event, at: formatMicros(at), cluster: cluster ?? null, subject: subject ?? null };
}

/** First and last name and the number of segments of a run. */
export function runOfSegments(
  range: Pick<WalRange, 'timeline' | 'first' | 'last'>,
  segmentBytes: SegmentBytes,
): { readonly timeline: number; readonly first: string; readonly last: string; readonly segments: number } {
  return {
    timeline: range.timeline,
    first: segmentName(range.timeline, range.first, segmentBytes),
    last: segmentName(range.timeline, range.last, segmentBytes),
    segments: Number(range.last - range.first + 1n),
  };
}
