import type { BackupDocument, BackupFileDocument, BackupListDocument } from '../../service/api.ts';
import { renderTable } from './table.ts';
import { count, formatAge, formatBytes, formatDuration, formatMoment, secondsBetween } from './units.ts';

export function renderBackupList({ cluster, backups }: BackupListDocument, columns: number): string {
  if (backups.length === 0) return `cluster ${cluster} has no backups`;
  return renderTable<BackupDocument>(
    [
      { heading: 'BACKUP', cell: ({ id }) => id },
      { heading: 'STATE', cell: stateOf },
      { heading: 'FINISHED', cell: ({ facts }) => (facts === null ? '' : formatMoment(facts.finishedAt)) },
      {
        heading: 'TOOK',
        right: true,
        cell: ({ startedAt, facts }) =>
          facts === null ? '' : formatDuration(secondsBetween(startedAt, facts.finishedAt)),
      },
      { heading: 'SIZE', right: true, cell: ({ facts }) => (facts === null ? '' : formatBytes(facts.plainBytes)) },
      { heading: 'STORED', right: true, cell: ({ facts }) => (facts === null ? '' : formatBytes(facts.storedBytes)) },
      { heading: 'BUILDS ON', cell: ({ facts }) => facts?.parent ?? '' },
      { heading: 'TIMELINE', right: true, cell: ({ facts }) => facts?.timeline.toString() ?? '' },
      { heading: 'REPOSITORY', cell: ({ repository }) => repository },
      { heading: 'LABEL', cell: ({ label }) => label },
    ],
    backups,
    columns,
  );
}

/** `20261122T021500F, complete, finished 3 h ago, 1.2 GiB stored`. */
export function backupSummary(backup: BackupDocument, now: Date): string {
  const { id, facts, startedAt } = backup;
  if (facts === null) return `${id}, ${stateOf(backup)}, begun ${formatAge(startedAt, now)}`;
  return `${id}, ${stateOf(backup)}, finished ${formatAge(facts.finishedAt, now)}, ${formatBytes(facts.storedBytes)} stored`;
}

export function renderBackup(backup: BackupDocument): string {
  const { facts, error } = backup;
  const lines: (readonly [string, string])[] = [
    ['Backup', backup.id],
    ['Cluster', backup.cluster],
    ['Repository', backup.repository],
    ['State', stateOf(backup)],
    ['Label', backup.label],
    ['Started', formatMoment(backup.startedAt)],
  ];
  if (backup.kept !== undefined) lines.push(['Kept', keptWords(backup.kept)]);
  if (facts !== null) lines.push(...factLines(backup.startedAt, facts));
  lines.push(
    ...(backup.damaged ?? []).map(({ key, error: { message } }) => ['  DAMAGED', `${key}: ${message}`] as const),
  );
  if (error !== null) lines.push(['Error', `${error.message} (${error.code})`], ['Hint', error.hint]);
  return lines.map(([name, value]) => `${`${name}:`.padEnd(20)}${value}`).join('\n');
}

function factLines(startedAt: string, facts: NonNullable<BackupDocument['facts']>): (readonly [string, string])[] {
  return [
    ...(facts.parent === null ? [] : [['Builds on', facts.parent] as const]),
    ['Consistent from', `${formatMoment(facts.stoppedAt)} on, at LSN ${facts.stopLsn}`],
    [
      'Finished',
      `${formatMoment(facts.finishedAt)}, after ${formatDuration(secondsBetween(startedAt, facts.finishedAt))}`,
    ],
    ['WAL needed', `LSN ${facts.startLsn} to ${facts.stopLsn}, timeline ${facts.timeline}`],
    [
      'Size',
      `${formatBytes(facts.plainBytes)} in ${count(facts.files, 'file')}, ${formatBytes(facts.storedBytes)} stored`,
    ],
    ['PostgreSQL', `${facts.majorVersion}, system identifier ${facts.systemIdentifier}`],
    ['Page checksums', checksumWords(facts)],
    ...facts.corruptPages.map(({ path, blocks }) => ['  CORRUPT', `${path}: blocks ${blocks.join(', ')}`] as const),
    ...facts.tablespaces.map(({ oid, location }) => ['Tablespace', `${oid} at ${location}`] as const),
  ];
}

function checksumWords({ checksumsVerified, corruptPages }: NonNullable<BackupDocument['facts']>): string {
  if (!checksumsVerified) return 'not verified: the cluster has none';
  const pages = corruptPages.reduce((sum, { blocks }) => sum + blocks.length, 0);
  return pages === 0 ? 'all verified' : `verified; ${count(pages, 'page')} CORRUPT`;
}

/** `until 2027-12-31 00:00:00 UTC: audit of 2026`. */
function keptWords({ until, reason }: NonNullable<BackupDocument['kept']>): string {
  return reason === null ? keptTime(until) : `${keptTime(until)}: ${reason}`;
}

export function keptTime(until: string | null): string {
  return until === null ? 'until it is released' : `until ${formatMoment(until)}`;
}

function stateOf(backup: BackupDocument): string {
  const state = soundnessOf(backup);
  return backup.kept === undefined ? state : `${state}, kept`;
}

function soundnessOf(backup: BackupDocument): string {
  if (backup.damaged !== undefined) return `${backup.state}, DAMAGED`;
  return isCorrupt(backup) ? 'complete, with CORRUPT pages' : backup.state;
}

/** Whether the backup is complete and holds pages whose checksums were wrong in the cluster. */
export function isCorrupt({ state, facts }: BackupDocument): boolean {
  return state === 'complete' && facts !== null && facts.corruptPages.length > 0;
}

/** `0600     8.0 KiB  2026-11-22 14:03:05 UTC  base/5/1259`; directories end in `/`. */
export function renderFileLine({ path, type, bytes, mode, modifiedAt }: BackupFileDocument): string {
  const permissions = mode === null ? '-' : mode.toString(8).padStart(4, '0');
  const size = type === 'file' ? formatBytes(bytes) : '';
  const moment = modifiedAt === null ? '' : formatMoment(modifiedAt);
  const suffix = type === 'directory' ? '/' : '';
  return `${permissions.padEnd(4)}  ${size.padStart(9)}  ${moment.padEnd(23)}  ${path}${suffix}`;
}
