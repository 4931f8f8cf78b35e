import type { Catalog, ClusterName, RepositoryName } from '../../../catalog/catalog.ts';
import type { DrillRecord } from '../../../catalog/proof.ts';
import { formatLsn } from '../../postgres/lsn.ts';
import { formatMicros } from '../../postgres/timestamp.ts';
import { segmentName } from '../../postgres/wal-name.ts';
import { damagedDocument } from '../../repository/backup-document.ts';
import { agedStretches, heldWal, verificationAges } from '../../verify/plan-verification.ts';
import type { DrillDocument, VerificationSummary, VerifiedDocument } from '../api-proof.ts';
import { momentOrNull } from './documents.ts';

const SHOWN = 100;

export async function verificationSummary(
  catalog: Catalog,
  cluster: ClusterName,
  repository: RepositoryName,
): Promise<VerificationSummary> {
  const ages = verificationAges(
    repository,
    await catalog.walRanges(repository, cluster),
    await catalog.backups(cluster),
    await catalog.proof.verifiedSpans(repository, cluster),
  );
  const marks = (await catalog.proof.damagedObjects(cluster)).filter((mark) => mark.repository === repository);
  return {
    oldestAt: momentOrNull(ages.oldestAt),
    neverSegments: ages.neverSegments,
    neverBackups: ages.neverBackups,
    damagedObjects: marks.length,
    damaged: marks.slice(0, SHOWN).map(damagedDocument),
  };
}

/** When what was verified last: the segments as ranges, the backups by the number of their objects. */
export async function verifiedObjects(
  catalog: Catalog,
  cluster: ClusterName,
  repositories: readonly RepositoryName[],
): Promise<VerifiedDocument[]> {
  const identity = await catalog.clusterIdentity(cluster);
  const backups = await catalog.backups(cluster);
  const verified: VerifiedDocument[] = [];
  for (const repository of identity === undefined ? [] : repositories) {
    const spans = await catalog.proof.verifiedSpans(repository, cluster);
    for (const backup of backups) {
      if (backup.repository !== repository || backup.state !== 'complete') continue;
      const own = spans.filter(({ row }) => row.kind === 'backup' && row.backup === backup.id);
      const known = own.length === 0 ? [{ first: 0n, last: 0n, verifiedAt: undefined }] : own;
      for (const { first, last, verifiedAt } of known) {
        const objects = own.length === 0 ? 0 : Number(last - first) + 1;
        verified.push({
          ...{ repository, backup: backup.id, objects, first: null, last: null },
          verifiedAt: momentOrNull(verifiedAt),
        });
      }
    }
    for (const stretch of agedStretches(heldWal(await catalog.walRanges(repository, cluster)), spans)) {
      const { row, first, last, verifiedAt } = stretch;
      if (row.kind !== 'wal' || identity === undefined) continue;
      const name = (segment: bigint): string => segmentName(row.timeline, segment, identity.segmentBytes);
      verified.push({
        ...{ repository, backup: null, objects: Number(last - first) + 1, first: name(first), last: name(last) },
        verifiedAt: momentOrNull(verifiedAt),
      });
    }
  }
  return verified;
}

export function drillDocument(drill: DrillRecord): DrillDocument {
  const { source, restore, recovery, reached, error } = drill;
  return {
    id: drill.id,
    cluster: drill.cluster,
    startedAt: formatMicros(drill.startedAt),
    finishedAt: formatMicros(drill.finishedAt),
    outcome: drill.outcome,
    target: drill.target,
    repository: source?.repository ?? null,
    backup: source?.backup ?? null,
    restore: restore === undefined ? null : { ...restore },
    recovery: recovery === undefined ? null : { ...recovery },
    reached:
      reached === undefined
        ? null
        : {
            timeline: reached.timeline,
            lsn: formatLsn(reached.lsn),
            lastCommit: momentOrNull(reached.lastCommit),
          },
    checks: drill.checks.map((check) => ({ ...check })),
    error: error === undefined ? null : { ...error },
  };
}
