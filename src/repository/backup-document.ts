import type { BackupRecord } from '../../catalog/catalog.ts';
import { formatLsn } from '../postgres/lsn.ts';
import { formatMicros } from '../postgres/timestamp.ts';

/** A backup as the API and `--json` show it; src/service/api.ts declares the same shape. */
export function backupDocument({ facts, error, ...backup }: BackupRecord) {
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
            parent: facts.parent ?? null,
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
