import type { Catalog, ClusterName } from '../../catalog/catalog.ts';
import { isWaldenError } from '../errors.ts';
import { segmentName } from '../postgres/wal-name.ts';
import type { Repository } from '../repository/repository.ts';
import { OTHER_MAY_SERVE, type PlanDeps, planRestore } from '../restore/plan.ts';
import { recoveryWindows } from '../wal/windows.ts';
import { viewSoundArchive } from '../wal/sound-view.ts';
import type { RepositoryVerification } from './verify-deps.ts';

/** Whether each complete backup of one repository can be planned from it: its record, its chain, the WAL that it needs. */
export async function usableBackups(
  deps: Omit<PlanDeps, 'repositories' | 'tail'>,
  cluster: ClusterName,
  repository: Repository,
  signal: AbortSignal,
): Promise<Pick<RepositoryVerification, 'backups' | 'unusable'>> {
  const records = (await deps.catalog.backups(cluster)).filter(
    (backup) => backup.repository === repository.name && backup.state === 'complete',
  );
  const unusable: { readonly backup: string; readonly message: string }[] = [];
  for (const { id } of records) {
    signal.throwIfAborted();
    const request = { target: { kind: 'immediate' as const, backup: id }, to: '' };
    try {
      const { marked } = await planRestore({ ...deps, repositories: [repository] }, cluster, request, signal);
      if (marked.length > 0) unusable.push({ backup: id, message: marked.join('; ') });
    } catch (error) {
      if (!isWaldenError(error, ...OTHER_MAY_SERVE)) throw error;
      unusable.push({ backup: id, message: error.message });
    }
  }
  return { backups: records.length - unusable.length, unusable };
}

/** What is missing, or damaged, on the way from a backup to the end of its path; the first hundred. */
export async function holesOf(
  catalog: Catalog,
  cluster: ClusterName,
  { name }: Repository,
): Promise<RepositoryVerification['holes']> {
  const archive = await viewSoundArchive(catalog, cluster, name);
  if (archive === undefined) return [];
  const named = recoveryWindows(archive)
    .flatMap(({ holes }) => holes)
    .map(({ timeline, first, last }) => ({
      timeline,
      first: segmentName(timeline, first, archive.segmentBytes),
      last: segmentName(timeline, last, archive.segmentBytes),
    }));
  return [...new Map(named.map((hole) => [`${hole.first} ${hole.last}`, hole])).values()].slice(0, 100);
}
