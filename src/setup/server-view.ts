import type { Session } from '../postgres/session.ts';

/** What a check wants to know of a server, as one moment shows it. */
export interface ServerView {
  /** `server_version_num`: 170004. */
  readonly version: number;
  readonly systemIdentifier: string;
  readonly inRecovery: boolean;
  readonly role: string;
  readonly fsync: boolean;
  readonly fullPageWrites: boolean;
  /** Milliseconds by which its clock is ahead of this host's; exact to half of `clockDoubtMs`. */
  readonly clockAheadMs: number;
  readonly clockDoubtMs: number;
  readonly archiver: {
    /** The WAL file that archive_command failed with last, unless one was archived since. */
    readonly failing: string | undefined;
    /** Seconds since that failure. */
    readonly failedSecondsAgo: number;
    readonly failures: number;
  };
  /** Functions that the role may not execute, with their arguments. */
  readonly missingFunctions: readonly string[];
  readonly slots: readonly SlotView[];
}

export interface SlotView {
  readonly name: string;
  readonly isPhysical: boolean;
  readonly active: boolean;
  /** `reserved`, `extended`, `unreserved`, `lost`; undefined where the slot keeps nothing yet. */
  readonly walStatus: string | undefined;
  readonly retainedBytes: number;
}

const VIEW = `
  select pg_catalog.current_setting('server_version_num')::int as version,
         (select system_identifier::text from pg_catalog.pg_control_system()) as system_identifier,
         pg_catalog.pg_is_in_recovery() as in_recovery,
         current_user as role,
         pg_catalog.current_setting('fsync') as fsync,
         pg_catalog.current_setting('full_page_writes') as full_page_writes,
         a.failed_count::float8 as failures,
         case when a.last_failed_time > coalesce(a.last_archived_time, '-infinity') then a.last_failed_wal end as failing,
         coalesce(extract(epoch from pg_catalog.clock_timestamp() - a.last_failed_time), 0)::float8 as failed_seconds_ago
    from pg_catalog.pg_stat_archiver a`;

const SLOTS = `
  select slot_name, slot_type = 'physical' as is_physical, active, wal_status,
         coalesce(pg_catalog.pg_wal_lsn_diff(
           case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
                else pg_catalog.pg_current_wal_lsn() end, restart_lsn), 0)::float8 as retained
    from pg_catalog.pg_replication_slots order by slot_name`;

/** `backsUpFiles`: whether base backups read the files of the server. @throws SERVER_QUERY, SERVER_UNREACHABLE */
export async function readServerView(
  session: Session,
  { backsUpFiles, now }: { readonly backsUpFiles: boolean; readonly now: () => Date },
): Promise<ServerView> {
  const [row = {}] = await session.query(VIEW);
  const slots = await session.query(SLOTS);
  const version = Number(row['version']);
  return {
    version,
    systemIdentifier: String(row['system_identifier']),
    inRecovery: row['in_recovery'] === true,
    role: String(row['role']),
    fsync: row['fsync'] === 'on',
    fullPageWrites: row['full_page_writes'] === 'on',
    ...(await compareClocks(session, now)),
    archiver: {
      failing: typeof row['failing'] === 'string' ? row['failing'] : undefined,
      failedSecondsAgo: Number(row['failed_seconds_ago']),
      failures: Number(row['failures']),
    },
    missingFunctions: await missingFunctions(session, [
      'pg_catalog.pg_switch_wal()',
      ...(backsUpFiles ? backupFunctions(Math.floor(version / 10_000)) : []),
    ]),
    slots: slots.map((slot) => ({
      name: String(slot['slot_name']),
      isPhysical: slot['is_physical'] === true,
      active: slot['active'] === true,
      walStatus: typeof slot['wal_status'] === 'string' ? slot['wal_status'] : undefined,
      retainedBytes: Number(slot['retained']),
    })),
  };
}

/** The server's moment lies between the two of this host. */
async function compareClocks(
  session: Session,
  now: () => Date,
): Promise<Pick<ServerView, 'clockAheadMs' | 'clockDoubtMs'>> {
  const before = now().getTime();
  const [row = {}] = await session.query('select extract(epoch from pg_catalog.clock_timestamp())::float8 as seconds');
  const after = now().getTime();
  return { clockAheadMs: Number(row['seconds']) * 1000 - (before + after) / 2, clockDoubtMs: after - before };
}

/** PostgreSQL 15 renamed them. */
function backupFunctions(majorVersion: number): readonly string[] {
  return majorVersion >= 15
    ? ['pg_catalog.pg_backup_start(text, boolean)', 'pg_catalog.pg_backup_stop(boolean)']
    : ['pg_catalog.pg_start_backup(text, boolean, boolean)', 'pg_catalog.pg_stop_backup(boolean, boolean)'];
}

async function missingFunctions(session: Session, names: readonly string[]): Promise<readonly string[]> {
  const rows = await session.query(
    `select name from pg_catalog.unnest($1::text[]) as name where not pg_catalog.has_function_privilege(name, 'execute')`,
    [names],
  );
  return rows.map((row) => String(row['name']).replace('pg_catalog.', ''));
}
