import type { DrillDocument, DrillListDocument } from '../../service/api-proof.ts';
import { renderTable } from './table.ts';
import { count, formatAge, formatBytes, formatDuration, formatMoment, secondsBetween } from './units.ts';

export function renderDrill(drill: DrillDocument): string {
  const { restore, recovery, reached, checks, error } = drill;
  const lines: (readonly [string, string])[] = [
    ['Drill', `${drill.outcome.toUpperCase()}, of cluster ${drill.cluster}`],
    [
      'Done',
      `${formatMoment(drill.startedAt)}, in ${formatDuration(secondsBetween(drill.startedAt, drill.finishedAt))}`,
    ],
    ['Target', drill.target],
  ];
  if (drill.backup !== null) lines.push(['Backup', `${drill.backup}, from repository ${drill.repository ?? ''}`]);
  if (restore !== null) {
    const rate = rateWords(restore.bytes, restore.seconds);
    lines.push(['Restored', `${count(restore.files, 'file')}, ${formatBytes(restore.bytes)}${rate}`]);
  }
  if (recovery !== null) {
    lines.push([
      'Recovered',
      `${formatBytes(recovery.walBytes)} of WAL${rateWords(recovery.walBytes, recovery.seconds)}`,
    ]);
  }
  if (reached !== null) {
    const commit = reached.lastCommit === null ? '' : `, last commit ${formatMoment(reached.lastCommit)}`;
    lines.push(['Reached', `LSN ${reached.lsn} on timeline ${reached.timeline}${commit}`]);
  }
  lines.push(...checks.map((check) => ['Check', checkWords(check)] as const));
  if (error !== null) lines.push(['Error', `${error.message} (${error.code})`]);
  return lines.map(([name, value]) => `${`${name}:`.padEnd(12)}${value}`).join('\n');
}

export function renderDrillList({ cluster, drills }: DrillListDocument, now: Date, columns: number): string {
  if (drills.length === 0) return `cluster ${cluster} was never restored for proof: walden drill ${cluster}`;
  return renderTable<DrillDocument>(
    [
      { heading: 'DRILL', cell: ({ startedAt }) => `${formatMoment(startedAt)} (${formatAge(startedAt, now)})` },
      { heading: 'OUTCOME', cell: ({ outcome }) => outcome },
      { heading: 'BACKUP', cell: ({ backup }) => backup ?? '' },
      {
        heading: 'RESTORE',
        right: true,
        cell: ({ restore }) => (restore === null ? '' : formatDuration(restore.seconds)),
      },
      {
        heading: 'RECOVERY',
        right: true,
        cell: ({ recovery }) => (recovery === null ? '' : formatDuration(recovery.seconds)),
      },
      { heading: 'SIZE', right: true, cell: ({ restore }) => (restore === null ? '' : formatBytes(restore.bytes)) },
      {
        heading: 'WAL',
        right: true,
        cell: ({ recovery }) => (recovery === null ? '' : formatBytes(recovery.walBytes)),
      },
      { heading: 'REACHED', cell: ({ reached }) => reached?.lsn ?? '' },
      { heading: 'CHECKS', cell: ({ checks }) => checks.map(({ name, outcome }) => `${name} ${outcome}`).join('; ') },
      { heading: 'TARGET', cell: ({ target }) => target },
      { heading: 'ERROR', cell: ({ error }) => (error === null ? '' : `${error.message} (${error.code})`) },
    ],
    drills,
    columns,
  );
}

function checkWords({ name, outcome, detail }: DrillDocument['checks'][number]): string {
  return `${outcome === 'failed' ? 'FAILED' : outcome}: ${name}${detail === '' ? '' : ` (${detail})`}`;
}

function rateWords(bytes: number, seconds: number): string {
  const rate = seconds > 0 ? `, ${formatBytes(Math.round(bytes / seconds))}/s` : '';
  return ` in ${formatDuration(seconds)}${rate}`;
}
