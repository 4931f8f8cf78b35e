import { WaldenError } from '../../errors.ts';
import { parseControlFile } from '../../postgres/control-file.ts';
import type { RestoreRequest } from '../../service/api.ts';
import type { PlanDeps, RestorePlan } from '../plan.ts';
import type { RestoreTarget } from '../target-directory.ts';
import type { LostWal } from './judge-wal.ts';
import { lookAtOldDirectory, type OldDirectory } from './old-directory.ts';
import { findLostWal } from './old-wal.ts';
import type { SafeWal } from './safe-wal.ts';

/** An old directory that may be changed. */
export interface PreparedDelta {
  readonly old: OldDirectory;
  /** WAL that goes with it and that nobody else has, in words. */
  readonly givenUp: readonly string[];
}

export interface DeltaOrder {
  readonly plan: RestorePlan;
  readonly request: Pick<RestoreRequest, 'discardWal'>;
  readonly target: RestoreTarget;
  /** The server that is to be followed. */
  readonly upstream: SafeWal['upstream'];
}

const NAMED = 5;

/**
 * Looks whether an old directory may be changed: at whose it is, and at its WAL. Changes nothing.
 * @returns undefined when nothing is there
 * @throws as lookAtOldDirectory and findLostWal; WAL_NOT_ARCHIVED
 */
export async function prepareDelta(
  deps: PlanDeps,
  { plan, request, target, upstream }: DeltaOrder,
  signal: AbortSignal,
): Promise<PreparedDelta | undefined> {
  const { cluster, choice } = plan;
  const { identity } = choice.candidate.backup.facts;
  const old = await lookAtOldDirectory(target, identity);
  if (old === undefined) return undefined;
  // One that was interrupted looked at the WAL before it began, and no server has run since.
  if (old.kind === 'interrupted') return { old, givenUp: [] };
  const { dataDirectory } = target;
  const place = { cluster, identity, dataDirectory, control: parseControlFile(old.control), upstream };
  const lost = await findLostWal(deps, place, signal);
  if (lost.length > 0 && request.discardWal !== true) throw wouldBeLost(lost, plan, target, upstream !== undefined);
  return { old, givenUp: lost.map(inWords) };
}

function inWords({ name, words }: LostWal): string {
  return `${name}${words}`;
}

function wouldBeLost(
  lost: readonly LostWal[],
  { cluster }: RestorePlan,
  { dataDirectory }: RestoreTarget,
  isFollowing: boolean,
): WaldenError {
  const more = lost.length > NAMED ? ` and ${lost.length - NAMED} more` : '';
  const named = lost.slice(0, NAMED).map(inWords).join(', ');
  const nobody = isFollowing ? 'that neither a repository nor the primary has' : 'that no repository has';
  const giveUp = 'begin again with --discard-wal to give it up';
  return new WaldenError('WAL_NOT_ARCHIVED', `${dataDirectory} has WAL ${nobody}: ${named}${more}`, {
    hint: lost.some(({ kind }) => kind === 'file')
      ? `put it into the archive first: walden wal repair ${cluster} --from ${dataDirectory}; or ${giveUp}`
      : `keep a copy of ${dataDirectory}/pg_wal if it may be missed, and ${giveUp}`,
    details: {
      directory: dataDirectory,
      wal: lost.map(({ name, kind, transactions }) => ({ name, kind, transactions })),
    },
  });
}
