import type {
  ExpiryPlanDocument,
  ExpiryResultDocument,
  RepositoryExpiryDocument,
} from '../../service/retention-api.ts';
import { renderTable } from './table.ts';
import { count, formatBytes, formatMoment } from './units.ts';

/** Of so many that stay or go it is told which; `--json` has all. */
const SHOWN_KEYS = 20;

interface BackupLine {
  readonly id: string;
  readonly stoppedAt: string;
  readonly verdict: string;
  readonly why: string;
}
interface WalLine {
  readonly first: string;
  readonly last: string;
  readonly segments: number;
  readonly verdict: string;
  readonly why: string;
}

/** What would go, and why each thing stays, repository by repository. */
export function renderExpiryPlan({ cluster, at, repositories }: ExpiryPlanDocument, columns: number): string {
  return [
    `What retention removes of ${cluster} at ${formatMoment(at)}; nothing was removed now:`,
    ...repositories.map((repository) => repositoryLines(repository, columns).join('\n')),
  ].join('\n\n');
}

function repositoryLines(repository: RepositoryExpiryDocument, columns: number): string[] {
  const { skipped, blocked, goes, stays } = repository;
  const title = `Repository ${repository.repository}`;
  if (skipped !== null) return [`${title}: ${skipped}`];
  const bytes = goes.backups.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  const segments = goes.wal.reduce((sum, run) => sum + run.segments, 0);
  const summary =
    blocked ??
    `${count(goes.backups.length, 'backup')} (${formatBytes(bytes)}) and ${count(segments, 'segment')} of WAL go`;
  return [
    `${title}: ${summary}`,
    ...backupTable(goes, stays, columns),
    ...walTable(goes, stays, columns),
    ...leftoverLines(goes),
    ...unknownLines(repository.unknown),
  ];
}

function backupTable(
  goes: RepositoryExpiryDocument['goes'],
  stays: RepositoryExpiryDocument['stays'],
  columns: number,
): string[] {
  const rows: BackupLine[] = [
    ...goes.backups.map(({ id, stoppedAt }) => ({ id, stoppedAt, verdict: 'GOES', why: '' })),
    ...stays.backups.map(({ id, stoppedAt, reasons, unusable }) => {
      const why = reasons.join('; ');
      return { id, stoppedAt, verdict: unusable === null ? 'stays' : 'stays, of no use', why };
    }),
  ].sort((a, b) => (a.stoppedAt < b.stoppedAt ? -1 : 1));
  if (rows.length === 0) return [];
  const shape = [
    { heading: 'BACKUP', cell: ({ id }: BackupLine) => id },
    { heading: 'ENDED', cell: ({ stoppedAt }: BackupLine) => formatMoment(stoppedAt) },
    { heading: '', cell: ({ verdict }: BackupLine) => verdict },
    { heading: 'WHY', cell: ({ why }: BackupLine) => why },
  ];
  return ['', renderTable(shape, rows, columns)];
}

function walTable(
  goes: RepositoryExpiryDocument['goes'],
  stays: RepositoryExpiryDocument['stays'],
  columns: number,
): string[] {
  const rows: WalLine[] = [
    ...goes.wal.map((run) => ({ ...run, verdict: 'GOES', why: '' })),
    ...stays.wal.map((run) => ({ ...run, verdict: 'stays', why: run.reason })),
  ].sort((a, b) => (a.first < b.first ? -1 : 1));
  if (rows.length === 0) return [];
  const shape = [
    { heading: 'FIRST', cell: ({ first }: WalLine) => first },
    { heading: 'LAST', cell: ({ last }: WalLine) => last },
    { heading: 'SEGMENTS', right: true as const, cell: ({ segments }: WalLine) => segments.toLocaleString('en-US') },
    { heading: '', cell: ({ verdict }: WalLine) => verdict },
    { heading: 'WHY', cell: ({ why }: WalLine) => why },
  ];
  return ['', renderTable(shape, rows, columns)];
}

function leftoverLines({ leftovers, otherWalFiles }: RepositoryExpiryDocument['goes']): string[] {
  const { backups, holds, unfinished } = leftovers;
  const lines = [
    ...(otherWalFiles.length === 0 ? [] : [`with them ${count(otherWalFiles.length, 'other WAL file')}`]),
    ...(backups.length === 0 ? [] : [`left by crashed work: ${backups.join(', ')}`]),
    ...(holds.length === 0 ? [] : [`holds of backups that are gone: ${holds.join(', ')}`]),
    ...(unfinished.length === 0 ? [] : [`${count(unfinished.length, 'unfinished segment')} that nobody needs`]),
  ];
  return lines.length === 0 ? [] : ['', ...lines.map((line) => `  ${line}`)];
}

function unknownLines({ keys, count: number }: RepositoryExpiryDocument['unknown']): string[] {
  if (number === 0) return [];
  const shown = keys.slice(0, SHOWN_KEYS);
  const more = number - shown.length;
  return [
    '',
    `  ${count(number, 'object')} that Walden does not know, and leaves alone:`,
    ...shown.map((key) => `    ${key}`),
    ...(more > 0 ? [`    and ${more} more`] : []),
  ];
}

/** What was done. */
export function renderExpiryResult({ repositories }: ExpiryResultDocument): string {
  return repositories.flatMap(resultLines).join('\n');
}

function resultLines({
  repository,
  skipped,
  blocked,
  done,
  unknown,
}: ExpiryResultDocument['repositories'][number]): string[] {
  const title = `Repository ${repository}`;
  if (skipped !== null) return [`${title}: ${skipped}`];
  const { backups, walFiles, leftovers, refused } = done;
  const nothing = backups.length + walFiles + leftovers === 0;
  const removed = [
    count(backups.length, 'backup'),
    count(walFiles, 'WAL file'),
    ...(leftovers === 0 ? [] : [`${count(leftovers, 'remnant')} of crashed work`]),
  ];
  return [
    `${title}: ${blocked ?? (nothing ? 'there was nothing to remove' : `removed ${removed.join(', ')}`)}`,
    ...backups.map((id) => `  ${id}`),
    ...refused.map(
      ({ what, message, until }) =>
        `  KEPT by the store: ${what}${until === null ? `: ${message}` : `, locked until ${formatMoment(until)}`}`,
    ),
    ...unknownLines(unknown),
  ];
}
