import type { BackupRecord, WalRange } from '../../../catalog/catalog.ts';
import type { Micros } from '../../postgres/timestamp.ts';
import { formatLsn } from '../../postgres/lsn.ts';
import { formatMicros } from '../../postgres/timestamp.ts';
import { type SegmentBytes, segmentName } from '../../postgres/wal-name.ts';
import type { BackupDocument, JobDocument } from '../api.ts';
import type { JobView } from '../jobs.ts';

/** From the domain's values to the documents of the API. */

export function momentOrNull(value: Micros | undefined): string | null {
  return value === undefined ? null : formatMicros(value);
}

export function backupDocument({ facts, error, ...backup }: BackupRecord): BackupDocument {
  return {
    repository: backup.repository,
    cluster: backup.cluster,
    id: backup.id,
    label: backup.label,
    state: backup.state,
    startedAt: formatMicros(backup.startedAt),
    error: error === undefined ? null : { ...error },
    facts:
      facts === undefined
        ? null
        : {
            systemIdentifier: facts.identity.systemIdentifier,
            majorVersion: facts.identity.majorVersion,
            segmentBytes: facts.identity.segmentBytes,
            timeline: facts.timeline,
            startLsn: formatLsn(facts.startLsn),
            stopLsn: formatLsn(facts.stopLsn),
            stoppedAt: formatMicros(facts.stoppedAt),
            finishedAt: formatMicros(facts.finishedAt),
            files: facts.files,
            plainBytes: facts.plainBytes,
            storedBytes: facts.storedBytes,
            checksumsVerified: facts.checksumsVerified,
            corruptPages: facts.corruptPages.map(({ path, blocks }) => ({ path, blocks: [...blocks] })),
            tablespaces: facts.tablespaces.map(({ oid, location }) => ({ oid, location })),
          },
  };
}

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
