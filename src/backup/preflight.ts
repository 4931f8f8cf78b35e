import { realpath } from 'node:fs/promises';
import { WaldenError } from '../errors.ts';
import type { ClusterIdentity } from '../../catalog/catalog.ts';
import { readControlFile } from '../postgres/control-file.ts';
import type { Session } from '../postgres/session.ts';

/** What a server must be before a backup of it is begun. */
export interface ServerFacts {
  readonly serverVersion: number;
  readonly dataChecksums: boolean;
  /** Blocks in one file of a relation. */
  readonly segmentBlocks: number;
}

export interface ExpectedServer {
  readonly identity: ClusterIdentity;
  readonly dataDirectory: string;
  /** Whether its WAL comes by archive_command, or else over the replication protocol. */
  readonly walComesBy: 'archiving' | 'receiving';
}

interface SettingsRow {
  readonly in_recovery: boolean;
  readonly system_identifier: string;
  readonly version: string;
  readonly data_directory: string;
  readonly archive_mode: string;
  readonly archive_command: string;
  readonly archive_library: string | null;
  readonly wal_level: string;
  readonly fsync: string;
  readonly full_page_writes: string;
  readonly failing_wal: string | null;
  readonly data_checksums: string;
  readonly segment_blocks: string;
}

const SETTINGS = `
  select pg_catalog.pg_is_in_recovery() as in_recovery,
         (select system_identifier::text from pg_catalog.pg_control_system()) as system_identifier,
         pg_catalog.current_setting('server_version_num') as version,
         pg_catalog.current_setting('data_directory') as data_directory,
         pg_catalog.current_setting('archive_mode') as archive_mode,
         pg_catalog.current_setting('archive_command') as archive_command,
         pg_catalog.current_setting('archive_library', true) as archive_library,
         pg_catalog.current_setting('wal_level') as wal_level,
         pg_catalog.current_setting('fsync') as fsync,
         pg_catalog.current_setting('full_page_writes') as full_page_writes,
         (select last_failed_wal from pg_catalog.pg_stat_archiver
           where last_failed_time > coalesce(last_archived_time, '-infinity')) as failing_wal,
         pg_catalog.current_setting('data_checksums') as data_checksums,
         (select setting from pg_catalog.pg_settings where name = 'segment_size') as segment_blocks`;

/**
 * Refuses, before anything is begun, what could not give a usable backup.
 * @throws SERVER_MISMATCH (not the cluster, or not the server of this data directory), SERVER_SETTINGS, SERVER_QUERY
 */
export async function checkServer(
  session: Session,
  expected: ExpectedServer,
  note: (message: string) => void,
): Promise<ServerFacts> {
  const [row] = (await session.query(SETTINGS)) as unknown as SettingsRow[];
  if (row === undefined) throw new WaldenError('INTERNAL', 'the server did not answer with its settings');
  await checkIdentity(row, expected);
  checkSettings(row);
  if (expected.walComesBy === 'archiving') checkArchiving(row);
  noteRisks(row, note);
  if (row.failing_wal !== null) {
    note(`the archiver of this server fails with ${row.failing_wal}: without its WAL the backup cannot be completed`);
  }
  return {
    serverVersion: Number(row.version),
    dataChecksums: row.data_checksums === 'on',
    segmentBlocks: Number(row.segment_blocks),
  };
}

export function noteRisks(row: Pick<SettingsRow, 'fsync' | 'full_page_writes'>, note: (message: string) => void): void {
  if (row.fsync !== 'on') note('fsync is off on this server: a crash of its host can damage the cluster itself');
  if (row.full_page_writes !== 'on') note('full_page_writes is off: PostgreSQL turns it on while the backup runs');
}

async function checkIdentity(row: SettingsRow, expected: ExpectedServer): Promise<void> {
  const { identity, dataDirectory } = expected;
  const majorVersion = Math.floor(Number(row.version) / 10_000);
  if (row.system_identifier !== identity.systemIdentifier || majorVersion !== identity.majorVersion) {
    throw new WaldenError(
      'SERVER_MISMATCH',
      `conninfo leads to system ${row.system_identifier}, version ${majorVersion}, and the archive is of system ` +
        `${identity.systemIdentifier}, version ${identity.majorVersion}`,
    );
  }
  const control = await readControlFile(dataDirectory);
  if (control.systemIdentifier !== identity.systemIdentifier) {
    throw new WaldenError(
      'SERVER_MISMATCH',
      `${dataDirectory} is of system ${control.systemIdentifier}, and the archive of ${identity.systemIdentifier}`,
    );
  }
  // A copy has the same identifier: only the path tells that the files are those of this server.
  if ((await realPathOf(row.data_directory)) !== (await realPathOf(dataDirectory))) {
    throw new WaldenError(
      'SERVER_MISMATCH',
      `the server at conninfo uses ${row.data_directory}, and data_directory is ${dataDirectory}`,
    );
  }
}

function checkSettings(row: SettingsRow): void {
  if (row.in_recovery) {
    throw new WaldenError('SERVER_SETTINGS', 'unable to back up a standby: the server is in recovery', {
      hint: 'let conninfo and data_directory name the primary',
    });
  }
  if (row.wal_level === 'minimal') {
    throw new WaldenError('SERVER_SETTINGS', 'unable to back up: wal_level is minimal', {
      hint: 'set wal_level = replica and restart PostgreSQL',
    });
  }
}

/** @throws SERVER_SETTINGS when a server archives nothing */
export function checkArchiving(row: Pick<SettingsRow, 'archive_mode' | 'archive_command' | 'archive_library'>): void {
  if (row.archive_mode === 'off') {
    throw new WaldenError('SERVER_SETTINGS', 'unable to back up: archive_mode is off, so the WAL would be missing', {
      hint: 'set archive_mode = on and archive_command, then restart PostgreSQL; or receive WAL: receive = true',
    });
  }
  if (row.archive_command === '' && (row.archive_library ?? '') === '') {
    throw new WaldenError('SERVER_SETTINGS', 'unable to back up: archive_command is empty', {
      hint: 'set archive_command to walden-push and reload PostgreSQL; see: walden script-config',
    });
  }
}

async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (cause) {
    const fact = cause instanceof Error ? cause.message : String(cause);
    throw new WaldenError('LOCAL_IO', `unable to find the data directory ${path}: ${fact}`, { cause });
  }
}
