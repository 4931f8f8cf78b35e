import type { PlanDocument } from '../../service/api.ts';
import { count, formatBytes, formatDuration, formatMoment } from './units.ts';

/** What a restore would do, in the order in which it happens. */
export function renderPlan(plan: PlanDocument): string {
  const { backup, chain, wal, path } = plan;
  const lines: (readonly [string, string])[] = [
    ['Target', plan.target],
    ['Backup', `${backup.id} of cluster ${plan.cluster}, from repository ${plan.repository}`],
    ...(chain.length === 0 ? [] : [['', `building on ${chainWords(chain)}`] as const]),
    ['Files', sizesOf(plan)],
    ...timeLines(plan),
    [
      'Timelines',
      path.map(({ timeline, end }) => (end === null ? `${timeline}` : `${timeline} until ${end}`)).join(', then '),
    ],
    ['WAL', `${count(wal.segments, 'segment')}, ${whereIs(plan)}`],
    ['', wal.first === wal.last ? wal.first : `${wal.first} to ${wal.last}`],
  ];
  if (plan.latest !== null) lines.push(['Reachable', `to ${formatMoment(plan.latest)} at the latest`]);
  lines.push(...plan.notes.map((note) => ['Note', note] as const));
  return lines.map(([name, value]) => `${(name === '' ? '' : `${name}:`).padEnd(12)}${value}`).join('\n');
}

/** How long, of what, and who measured that. */
function timeLines({ estimatedSeconds, estimate }: PlanDocument): readonly (readonly [string, string])[] {
  if (estimatedSeconds === null || estimate === null) return [];
  const { restoreSeconds, recoverySeconds, by } = estimate;
  const parts =
    recoverySeconds === null
      ? 'to write the files; how long the WAL takes, a drill would show'
      : `${formatDuration(restoreSeconds)} to write the files, ${formatDuration(recoverySeconds)} to replay the WAL`;
  return [
    ['Time', `about ${formatDuration(estimatedSeconds)}: ${parts}`],
    ['', `as measured by ${by}`],
  ];
}

function whereIs({ wal, unstoredSegments, unfinished }: PlanDocument): string {
  const last = unfinished === null ? '' : ', the last one unfinished';
  if (unstoredSegments === 0) return `all in the archive${last}`;
  return `${wal.segments - unstoredSegments} of them in the archive, ${unstoredSegments} in the spool${last}`;
}

/** Which frames of a chain are needed is known when its increments are read. */
function sizesOf({ chain, restoreBytes, storedBytes }: PlanDocument): string {
  const [about, atMost] = chain.length === 0 ? ['', ''] : ['about ', 'at most '];
  return `${about}${formatBytes(restoreBytes)} to write, ${atMost}${formatBytes(storedBytes)} to read`;
}

/** A chain may be long: its end is the one that must not be missing. */
function chainWords(chain: PlanDocument['chain']): string {
  const last = chain.at(-1) ?? '';
  return chain.length === 1 ? last : `${chain.length} others, down to ${last}`;
}
