import type { PlanDocument } from '../../service/api.ts';
import { count, formatBytes, formatDuration, formatMoment } from './units.ts';

/** What a restore would do, in the order in which it happens. */
export function renderPlan(plan: PlanDocument): string {
  const { backup, wal, path } = plan;
  const estimate =
    plan.estimatedSeconds === null ? '' : `, about ${formatDuration(plan.estimatedSeconds)} at the last measured rate`;
  const lines: (readonly [string, string])[] = [
    ['Target', plan.target],
    ['Backup', `${backup.id} of cluster ${plan.cluster}, from repository ${plan.repository}`],
    ['Files', `${formatBytes(plan.restoreBytes)} to write, ${formatBytes(plan.storedBytes)} to read${estimate}`],
    [
      'Timelines',
      path.map(({ timeline, end }) => (end === null ? `${timeline}` : `${timeline} until ${end}`)).join(', then '),
    ],
    ['WAL', `${count(wal.segments, 'segment')}, ${wal.first} to ${wal.last}: all in the archive`],
  ];
  if (plan.latest !== null) lines.push(['Reachable', `to ${formatMoment(plan.latest)} at the latest`]);
  lines.push(...plan.notes.map((note) => ['Note', note] as const));
  return lines.map(([name, value]) => `${`${name}:`.padEnd(12)}${value}`).join('\n');
}
