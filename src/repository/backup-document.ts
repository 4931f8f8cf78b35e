import type { BackupRecord } from '../../catalog/catalog.ts';
import type { DamagedObject } from '../../catalog/proof.ts';
import { formatLsn } from '../postgres/lsn.ts';
import { formatMicros } from '../postgres/timestamp.ts';

/** Of so many damaged objects of a backup it is told which. */
const SHOWN = 100;

/**
 * A backup as the API and `--json` show it; src/service/api.ts declares the same shape.
 * @param marks what was found damaged in the cluster
 */
export function backupDocument({ facts, error, ...backup }: BackupRecord, marks: readonly DamagedObject[] = []) {
  const damaged = marks.filter(
    ({ repository, part }) => repository === backup.repository && part.kind === 'backup' && part.backup === backup.id,
  );
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
    ...(damaged.length === 0 ? {} : { damaged: damaged.slice(0, SHOWN).map(damagedDocument) }),
  };
}

export function damagedDocument({ repository, key, part, error, foundAt }: DamagedObject) {
  return {
    ...{ repository, key },
    walFile: part.kind === 'wal' ? part.name : null,
    backup: part.kind === 'backup' ? part.backup : null,
    error: { ...error },
    foundAt: formatMicros(foundAt),
  };
}
