import { WaldenError } from '../errors.ts';
import type { JobClaim } from './jobs.ts';

type Kind = JobClaim['kind'];

/** These change what retention decides by, or what it decides about. */
const BESIDE_NO_EXPIRY: readonly Kind[] = [
  'expire',
  'backup',
  'repository-sync',
  'repository-repair',
  'wal-repair',
  'catalog-rebuild',
  'verify',
  'hold',
];
/** Of a cluster. */
const ONE_AT_A_TIME: readonly Kind[] = ['verify', 'wal-repair'];
/** What they read must not go under their hands; but never has a restore to wait for retention. */
export const BEFORE_NO_EXPIRY: readonly Kind[] = ['restore', 'clone', 'drill'];

/** Whether one that runs keeps another one from beginning. Pure. */
export function excludes(running: JobClaim, next: JobClaim): boolean {
  // Each is a server and a data directory more on this host.
  if (next.kind === 'drill' && running.kind === 'drill') return true;
  const apart = running.cluster !== undefined && next.cluster !== undefined && running.cluster !== next.cluster;
  if (apart) return false;
  if (ONE_AT_A_TIME.includes(next.kind) && running.kind === next.kind) return true;
  if (next.kind === 'expire') return [...BESIDE_NO_EXPIRY, ...BEFORE_NO_EXPIRY].includes(running.kind);
  return running.kind === 'expire' && BESIDE_NO_EXPIRY.includes(next.kind);
}

export function refusalBy({ kind, cluster }: JobClaim, next: JobClaim): WaldenError {
  const what = (one: Kind): string => (one === 'hold' ? 'a change of holds' : `a job of kind ${one}`);
  const of = cluster === undefined ? '' : ` of cluster ${cluster}`;
  return new WaldenError('LOCK_HELD', `cannot begin ${what(next.kind)}: ${what(kind)}${of} is running`, {
    hint: 'wait for it to end, or end it: walden job list, walden job cancel',
    details: { running: kind, cluster: cluster ?? null },
  });
}
