import { WaldenError } from '../errors.ts';
import { formatLsn } from '../postgres/lsn.ts';
import { segmentNumber } from '../postgres/wal-name.ts';
import type { RestorePlan } from './plan.ts';
import type { Upstream } from './upstream.ts';

/**
 * Refuses a restore that could not go on with this server: recovery follows the archive first, and where that went on
 * behind the point at which the server's timeline forked off, PostgreSQL cannot change over any more.
 * @throws SERVER_MISMATCH, TARGET_UNREACHABLE, ARCHIVE_GAP
 */
export function assertCanFollow(
  { choice, fromTail }: Pick<RestorePlan, 'choice' | 'fromTail'>,
  { path, timeline }: Pick<Upstream, 'path' | 'timeline'>,
): void {
  const { view, backup } = choice.candidate;
  const step = path.find((one) => one.timeline === view.timeline);
  if (step === undefined) {
    throw new WaldenError(
      'SERVER_MISMATCH',
      `the primary is on timeline ${timeline} and does not come from timeline ${view.timeline}, along which the archive goes on`,
      { hint: 'name the node that was promoted last: --primary' },
    );
  }
  if (step.end === undefined) return;
  const fork = `timeline ${timeline} of the primary left timeline ${view.timeline} at ${formatLsn(step.end)}`;
  if (backup.facts.stopLsn > step.end) {
    throw new WaldenError('TARGET_UNREACHABLE', `backup ${backup.id} ended behind that: ${fork}`, {
      hint: 'name an older backup with --backup, or take a backup of the primary',
    });
  }
  const segment = segmentNumber(step.end, view.archive.segmentBytes);
  const archivedBehind = choice.spans.some(
    (span) => span.timeline === view.timeline && span.to >= segment && !fromTail.some((one) => one.segment === segment),
  );
  if (!archivedBehind) return;
  throw new WaldenError('ARCHIVE_GAP', `the archive holds WAL of timeline ${view.timeline} behind that: ${fork}`, {
    hint: `wait until WAL of timeline ${timeline} is archived (select pg_switch_wal() there), and begin again`,
  });
}
