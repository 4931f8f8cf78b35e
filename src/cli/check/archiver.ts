import { count, formatAge, formatDuration, secondsBetween } from '../render/units.ts';
import { type Check, type CheckLine, failed, ok, valueOf, warning } from './facts.ts';

/** Beyond it the archive is behind, however good it looks. */
const BACKLOG_FILES = 10;
const BACKLOG_SECONDS = 600;

/** archive_command as PostgreSQL sees it, and what waits for it. */
export const checkArchiver: Check = ({ server, service, config, now }) => {
  const lines: CheckLine[] = [];
  const archiver = valueOf(server)?.archiver;
  if (archiver !== undefined && config.receive === undefined) {
    const { failing, failedSecondsAgo, failures } = archiver;
    lines.push(
      failing === undefined
        ? ok('archiver', 'archive_command works', { label: 'archiver_failures', value: failures, unit: '' })
        : failed(
            'archiver',
            `archive_command fails with ${failing}, last ${formatDuration(failedSecondsAgo)} ago`,
            "read its words in PostgreSQL's log, and: walden status; PostgreSQL asks again by itself",
            { label: 'archiver_failures', value: failures, unit: '' },
          ),
    );
  }
  const wal = valueOf(service)?.status.wal;
  if (wal === undefined || wal.ready === null) return lines;
  const measure = { label: 'wal_waiting', value: wal.ready, unit: '', warning: BACKLOG_FILES } as const;
  const age = wal.oldestReadyAt === null ? 0 : secondsBetween(wal.oldestReadyAt, now.toISOString());
  if (wal.oldestReadyAt === null || (wal.ready <= BACKLOG_FILES && age <= BACKLOG_SECONDS)) {
    return [
      ...lines,
      ok('backlog', wal.ready === 0 ? 'no WAL waits' : `${count(wal.ready, 'WAL file')} waiting`, measure),
    ];
  }
  const fact = `${count(wal.ready, 'WAL file')} waiting to be archived, the oldest from ${formatAge(wal.oldestReadyAt, now)}`;
  return [...lines, warning('backlog', fact, `see what holds it up: walden status ${config.name}`, measure)];
};
