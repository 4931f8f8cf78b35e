import { WaldenError } from '../errors.ts';
import { parseBackupLabel } from '../postgres/backup-label.ts';
import { type Lsn, parseLsn, type TimelineId } from '../postgres/lsn.ts';
import type { Session } from '../postgres/session.ts';
import { micros, type Micros } from '../postgres/timestamp.ts';

/**
 * PostgreSQL's non-exclusive backup mode (manual, "Making a Base Backup Using the Low Level API"). Start and stop happen in
 * one session, and the mode ends with the session: to close it is all that an abort needs.
 */

export interface StoppedBackup {
  readonly timeline: TimelineId;
  readonly startLsn: Lsn;
  readonly stopLsn: Lsn;
  /** By PostgreSQL's clock, after the stop. */
  readonly stoppedAt: Micros;
  /** Byte for byte. */
  readonly backupLabel: string;
  /** Byte for byte; empty without tablespaces. */
  readonly tablespaceMap: string;
}

/** Begins with an immediate checkpoint; that can take a while. @returns the start LSN */
export async function startBackupMode(session: Session, serverVersion: number, label: string): Promise<Lsn> {
  // The session is idle for as long as the files are read: no setting of the server may end it.
  await session.query(`set statement_timeout = 0`);
  if (serverVersion >= 140_000) await session.query(`set idle_session_timeout = 0`);
  const call =
    serverVersion >= 150_000 ? 'pg_catalog.pg_backup_start($1, true)' : 'pg_catalog.pg_start_backup($1, true, false)';
  const row = await oneRow(session, `select ${call}::text as lsn`, [label]);
  return parseLsn(textOf(row, 'lsn'));
}

/** Does not wait for the archive: Walden looks at its own repositories. */
export async function stopBackupMode(session: Session, serverVersion: number): Promise<StoppedBackup> {
  const call =
    serverVersion >= 150_000 ? 'pg_catalog.pg_backup_stop(false)' : 'pg_catalog.pg_stop_backup(false, false)';
  const row = await oneRow(session, `select lsn::text as lsn, labelfile, spcmapfile from ${call}`, []);
  const now = await oneRow(
    session,
    `select (extract(epoch from pg_catalog.clock_timestamp()) * 1000000)::bigint::text as now`,
    [],
  );
  const backupLabel = textOf(row, 'labelfile');
  const { startLsn, timeline } = parseBackupLabel(backupLabel);
  return {
    timeline,
    startLsn,
    stopLsn: parseLsn(textOf(row, 'lsn')),
    stoppedAt: micros(Number(textOf(now, 'now'))),
    backupLabel,
    tablespaceMap: textOf(row, 'spcmapfile'),
  };
}

async function oneRow(session: Session, text: string, values: readonly unknown[]): Promise<Record<string, unknown>> {
  const [row] = (await session.query(text, values)) as unknown as Record<string, unknown>[];
  if (row === undefined) throw new WaldenError('INTERNAL', 'the server answered without a row');
  return row;
}

function textOf(row: Record<string, unknown>, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw new WaldenError('INTERNAL', `the server answered without ${column}`);
  return value;
}
