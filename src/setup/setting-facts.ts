import type { Session } from '../postgres/session.ts';

/** One row of pg_settings, and what the configuration files say. */
export interface SettingFacts {
  readonly name: string;
  /** As it holds now; of archive_command also while archive_mode is off, when SHOW hides it. */
  readonly value: string;
  /** Where it comes from: `default`, `configuration file`, `command line`, … */
  readonly source: string;
  /** File and line, where there are some and the role may see them. */
  readonly place: string | undefined;
  /** Whether a change takes effect at a start of the server only. */
  readonly needsRestart: boolean;
  /** Whether the files say something else, which waits for a restart. */
  readonly pendingRestart: boolean;
  /** What the files say in the end. Undefined: nothing, or the role may not see it. */
  readonly written: string | undefined;
}

/** What has to be known of a server before its settings are planned. */
export interface SetupFacts {
  /** 13, 14, … */
  readonly majorVersion: number;
  readonly inRecovery: boolean;
  /** Name of the role that asks. */
  readonly role: string;
  /** Undefined where the role may not see them. */
  readonly dataDirectory: string | undefined;
  readonly configFile: string | undefined;
  readonly settings: ReadonlyMap<string, SettingFacts>;
  /** Settings that the role may not change with ALTER SYSTEM. */
  readonly notAllowed: ReadonlySet<string>;
  readonly mayReload: boolean;
  /** WAL senders and slots that are in use for something else than Walden's receiver. */
  readonly otherSenders: number;
  readonly otherSlots: number;
}

/** Each that a plan may look at; those that a version does not have are left out by pg_settings. */
const NAMES = [
  'wal_level',
  'archive_mode',
  'archive_library',
  'archive_command',
  'archive_timeout',
  'max_wal_senders',
  'max_replication_slots',
  'restore_command',
  'recovery_target_timeline',
  'summarize_wal',
];

const SETTINGS = `
  select name, source, sourcefile, sourceline, pending_restart, context = 'postmaster' as needs_restart,
         case name when 'archive_command' then reset_val else setting end as value
    from pg_catalog.pg_settings where name = any($1)`;

const SERVER = `
  select pg_catalog.current_setting('server_version_num') as version,
         pg_catalog.pg_is_in_recovery() as in_recovery,
         current_user as role,
         (select rolsuper from pg_catalog.pg_roles where rolname = current_user) as is_superuser,
         (select setting from pg_catalog.pg_settings where name = 'data_directory') as data_directory,
         (select setting from pg_catalog.pg_settings where name = 'config_file') as config_file,
         pg_catalog.has_function_privilege('pg_catalog.pg_reload_conf()', 'execute') as may_reload,
         pg_catalog.has_function_privilege('pg_catalog.pg_show_all_file_settings()', 'execute') as may_see_files,
         (select count(*) from pg_catalog.pg_stat_get_wal_senders() s
           where not exists (select from pg_catalog.pg_replication_slots r
                              where r.slot_name = $1 and r.active_pid = s.pid)) as other_senders,
         (select count(*) from pg_catalog.pg_replication_slots where slot_name is distinct from $1) as other_slots`;

/** `slot`: that of Walden's receiver. @throws SERVER_QUERY, SERVER_UNREACHABLE */
export async function readSetupFacts(session: Session, slot: string | undefined): Promise<SetupFacts> {
  const [server = {}] = await session.query(SERVER, [slot ?? null]);
  const majorVersion = Math.floor(Number(server['version']) / 10_000);
  const written = server['may_see_files'] === true ? await readFiles(session) : new Map<string, string>();
  const rows = await session.query(SETTINGS, [NAMES]);
  const settings = new Map(
    rows.map((row): [string, SettingFacts] => {
      const name = String(row['name']);
      return [
        name,
        {
          name,
          value: text(row['value']),
          source: text(row['source']),
          place: typeof row['sourcefile'] === 'string' ? `${row['sourcefile']}:${text(row['sourceline'])}` : undefined,
          needsRestart: row['needs_restart'] === true,
          pendingRestart: row['pending_restart'] === true,
          written: written.get(name),
        },
      ];
    }),
  );
  return {
    majorVersion,
    inRecovery: server['in_recovery'] === true,
    role: text(server['role']),
    dataDirectory: optional(server['data_directory']),
    configFile: optional(server['config_file']),
    settings,
    notAllowed: server['is_superuser'] === true ? new Set() : await notAllowed(session, majorVersion),
    mayReload: server['may_reload'] === true,
    otherSenders: Number(server['other_senders']),
    otherSlots: Number(server['other_slots']),
  };
}

/** The last line of a name wins; postgresql.auto.conf is read last (ParseConfigFile in guc-file.l). */
async function readFiles(session: Session): Promise<ReadonlyMap<string, string>> {
  const rows = await session.query(
    'select name, setting from pg_catalog.pg_file_settings where name = any($1) order by seqno',
    [NAMES],
  );
  return new Map(rows.map((row) => [String(row['name']).toLowerCase(), text(row['setting'])]));
}

/** Before PostgreSQL 15 only a superuser may change any. */
async function notAllowed(session: Session, majorVersion: number): Promise<ReadonlySet<string>> {
  if (majorVersion < 15) return new Set(NAMES);
  const rows = await session.query(
    `select name from pg_catalog.unnest($1::text[]) as name
      where not pg_catalog.has_parameter_privilege(name, 'ALTER SYSTEM')`,
    [NAMES],
  );
  return new Set(rows.map((row) => String(row['name'])));
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? value.toString() : '';
}

function optional(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
