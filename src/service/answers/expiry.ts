import type { RepositoryName } from '../../../catalog/catalog.ts';
import { formatMicros } from '../../postgres/timestamp.ts';
import type { RepositoryExpiry } from '../../retention/expire-repository.ts';
import type { RetentionPlace } from '../../retention/gather-input.ts';
import type { RepositoryExpiryDocument } from '../retention-api.ts';
import { runOfSegments } from './documents.ts';

/** What goes from one repository, and why the rest stays. */
export function expiryDocument(
  { repository, segmentBytes }: Pick<RetentionPlace, 'repository' | 'segmentBytes'>,
  { plan, leftovers, unknown }: RepositoryExpiry,
): RepositoryExpiryDocument {
  const { backups, wal } = plan;
  return {
    repository: repository.name,
    ...{ skipped: null, blocked: plan.blocked ?? null },
    goes: {
      backups: backups.go.map(({ id, facts }) => ({
        ...{ id, stoppedAt: formatMicros(facts.stoppedAt), storedBytes: facts.storedBytes },
      })),
      wal: wal.go.map((run) => runOfSegments(run, segmentBytes)),
      otherWalFiles: [...wal.others],
      leftovers: {
        ...{ backups: [...leftovers.backups], holds: [...leftovers.holds] },
        unfinished: leftovers.unfinished.map(({ key }) => key),
      },
    },
    stays: {
      backups: backups.stay.map(({ backup, reasons, unusable }) => ({
        ...{ id: backup.id, stoppedAt: formatMicros(backup.facts.stoppedAt) },
        ...{ reasons: [...reasons], unusable: unusable ?? null },
      })),
      wal: wal.stay.map((run) => ({ ...runOfSegments(run, segmentBytes), reason: run.reason })),
    },
    unknown: { keys: [...unknown.keys], count: unknown.count },
  };
}

/** Of a repository in which nothing is decided. */
export function skippedDocument(repository: RepositoryName, skipped: string): RepositoryExpiryDocument {
  const leftovers = { backups: [], holds: [], unfinished: [] };
  return {
    ...{ repository, skipped, blocked: null },
    goes: { backups: [], wal: [], otherWalFiles: [], leftovers },
    ...{ stays: { backups: [], wal: [] }, unknown: { keys: [], count: 0 } },
  };
}
