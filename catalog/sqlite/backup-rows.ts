import type {
  BackupFacts,
  BackupId,
  BackupRecord,
  BackupState,
  ClusterName,
  CorruptPages,
  RepositoryName,
} from '../catalog.ts';
import type { TimelineId } from '../../src/postgres/lsn.ts';
import { type IdentityRow, identityOf } from './clusters.ts';
import { errorOf, type Integer, lsnOf, lsnText, microsOf } from './rows.ts';

interface StartRow {
  readonly cluster: string;
  readonly id: string;
  readonly repository: string;
  readonly label: string;
  readonly started_at: Integer;
  readonly state: string;
  readonly error: string | null;
}

interface FactsRow extends IdentityRow {
  readonly parent: string | null;
  readonly timeline: Integer;
  readonly start_lsn: string;
  readonly stop_lsn: string;
  readonly stopped_at: Integer;
  readonly finished_at: Integer;
  readonly files: Integer;
  readonly plain_bytes: Integer;
  readonly stored_bytes: Integer;
  readonly checksums_verified: Integer;
  readonly corrupt_pages: string;
  readonly tablespaces: string;
}

/** The facts stand together or not at all. */
export type BackupRow = StartRow & (FactsRow | { readonly stop_lsn: null });

export function backupOf(row: BackupRow): BackupRecord {
  return {
    repository: row.repository as RepositoryName,
    cluster: row.cluster as ClusterName,
    id: row.id as BackupId,
    label: row.label,
    startedAt: microsOf(row.started_at),
    state: row.state as BackupState,
    facts: row.stop_lsn === null ? undefined : factsOf(row),
    error: row.error === null ? undefined : errorOf(row.error),
  };
}

function factsOf(row: FactsRow): BackupFacts {
  return {
    identity: identityOf(row),
    parent: row.parent === null ? undefined : (row.parent as BackupId),
    timeline: Number(row.timeline) as TimelineId,
    startLsn: lsnOf(row.start_lsn),
    stopLsn: lsnOf(row.stop_lsn),
    stoppedAt: microsOf(row.stopped_at),
    finishedAt: microsOf(row.finished_at),
    files: Number(row.files),
    plainBytes: Number(row.plain_bytes),
    storedBytes: Number(row.stored_bytes),
    checksumsVerified: row.checksums_verified === 1n,
    corruptPages: JSON.parse(row.corrupt_pages) as CorruptPages[],
    tablespaces: JSON.parse(row.tablespaces) as BackupFacts['tablespaces'],
  };
}

/** Named parameters. */
export function factsValues(facts: BackupFacts): Record<string, string | number | null> {
  return {
    ...facts.identity,
    parent: facts.parent ?? null,
    timeline: facts.timeline,
    startLsn: lsnText(facts.startLsn),
    stopLsn: lsnText(facts.stopLsn),
    stoppedAt: facts.stoppedAt,
    finishedAt: facts.finishedAt,
    files: facts.files,
    plainBytes: facts.plainBytes,
    storedBytes: facts.storedBytes,
    checksumsVerified: facts.checksumsVerified ? 1 : 0,
    corruptPages: JSON.stringify(facts.corruptPages),
    tablespaces: JSON.stringify(facts.tablespaces),
  };
}
