import { isWaldenError, WaldenError } from '../errors.ts';
import { type Lsn, parseLsn, type TimelineId, timelineId } from '../postgres/lsn.ts';
import type { Session } from '../postgres/session.ts';

/** What one server says of itself, and of those that stream from it. What the role may not see is undefined. */
export interface NodeView {
  /** `server_version_num`: 170004. */
  readonly version: number;
  readonly systemIdentifier: string;
  /** When the server was started, in seconds since 1970 by its clock: with its port it tells one run of a server from all others. */
  readonly startedSeconds: number;
  /** Where it listens, as its setting says. */
  readonly port: number;
  /** The address that was reached; undefined over a unix socket. */
  readonly address: string | undefined;
  readonly role: string;
  /** Whether the role sees who streams, and from whom (pg_read_all_stats). */
  readonly readsStatistics: boolean;
  /** Whether it sees every setting (pg_read_all_settings). */
  readonly readsSettings: boolean;
  readonly position: NodePosition;
  /** Of a standby, while its WAL receiver runs. */
  readonly receiver: ReceiverView | undefined;
  readonly settings: NodeSettings;
  readonly slots: readonly NodeSlot[];
  readonly senders: readonly SenderView[];
  /** Queries that the server refused, in words. */
  readonly refused: readonly string[];
}

export interface NodePosition {
  readonly inRecovery: boolean;
  readonly timeline: TimelineId | undefined;
  /** Of a primary the end of its durable WAL, of a standby up to where it is replayed; undefined before a standby has begun. */
  readonly lsn: Lsn | undefined;
  /** How long ago the last commit was made that a standby has replayed, by its clock. */
  readonly lastCommitSecondsAgo: number | undefined;
  readonly isPaused: boolean;
}

export interface ReceiverView {
  readonly status: string | undefined;
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly slot: string | undefined;
}

export interface NodeSettings {
  /** May hold a password. */
  readonly primaryConninfo: string | undefined;
  readonly primarySlotName: string | undefined;
  /** Empty: none. */
  readonly restoreCommand: string | undefined;
  readonly clusterName: string | undefined;
  readonly dataDirectory: string | undefined;
  readonly applyDelaySeconds: number;
}

/** A physical slot. */
export interface NodeSlot {
  readonly name: string;
  readonly active: boolean;
  /** `reserved`, `extended`, `unreserved`, `lost`; undefined where the slot keeps nothing yet. */
  readonly walStatus: string | undefined;
  readonly retainedBytes: number;
}

/** A standby, as its upstream sees it. */
export interface SenderView {
  readonly applicationName: string;
  /** Undefined over a unix socket. */
  readonly address: string | undefined;
  readonly slot: string | undefined;
  readonly state: string;
  readonly replayed: Lsn;
  readonly lagBytes: number;
  readonly lagSeconds: number | undefined;
}

export interface NodeRole {
  readonly systemIdentifier: string;
  readonly inRecovery: boolean;
}

const SELF = `
  select pg_catalog.current_setting('server_version_num')::int as version,
         (select system_identifier::text from pg_catalog.pg_control_system()) as system_identifier,
         extract(epoch from pg_catalog.pg_postmaster_start_time())::float8 as started,
         pg_catalog.current_setting('port')::int as port,
         pg_catalog.host(pg_catalog.inet_server_addr()) as address,
         current_user as role,
         pg_catalog.pg_has_role('pg_read_all_stats', 'usage') as reads_statistics,
         pg_catalog.pg_has_role('pg_read_all_settings', 'usage') as reads_settings,
         pg_catalog.pg_is_in_recovery() as in_recovery`;

/** One statement, since a standby may be promoted between two. */
const POSITION = `
  select r.in_recovery,
         case when r.in_recovery then pg_catalog.pg_last_wal_replay_lsn()
              else pg_catalog.pg_current_wal_flush_lsn() end::text as lsn,
         case when not r.in_recovery
              then pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_flush_lsn()) end as wal_file,
         case when r.in_recovery then extract(epoch from
              pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()) end::float8 as seconds_ago,
         case when r.in_recovery then pg_catalog.pg_is_wal_replay_paused() else false end as paused,
         (select received_tli from pg_catalog.pg_stat_wal_receiver) as received_timeline,
         (select timeline_id from pg_catalog.pg_control_checkpoint()) as checkpoint_timeline,
         (select min_recovery_end_timeline from pg_catalog.pg_control_recovery()) as minimum_timeline
    from (select pg_catalog.pg_is_in_recovery() as in_recovery) r`;

/** One row while a WAL receiver runs; a role that may not see more gets its process id alone. */
const RECEIVER = `
  select status, sender_host, sender_port, slot_name from pg_catalog.pg_stat_wal_receiver where pid is not null`;

/** Settings that the role may not see have no row. */
const SETTINGS = `
  select name, setting from pg_catalog.pg_settings where name in
    ('primary_conninfo', 'primary_slot_name', 'restore_command', 'cluster_name', 'data_directory',
     'recovery_min_apply_delay')`;

const END = `case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
                  else pg_catalog.pg_current_wal_flush_lsn() end`;

const SLOTS = `
  select slot_name, active, wal_status,
         greatest(coalesce(pg_catalog.pg_wal_lsn_diff(${END}, restart_lsn), 0), 0)::float8 as retained
    from pg_catalog.pg_replication_slots where slot_type = 'physical' and not temporary order by slot_name`;

/** What only receives WAL, as Walden and pg_receivewal do, tells of no replay. */
const SENDERS = `
  select r.application_name, pg_catalog.host(r.client_addr) as address, s.slot_name, r.state, r.replay_lsn::text as replayed,
         greatest(pg_catalog.pg_wal_lsn_diff(${END}, r.replay_lsn), 0)::float8 as lag_bytes,
         extract(epoch from r.replay_lag)::float8 as lag_seconds
    from pg_catalog.pg_stat_replication r left join pg_catalog.pg_replication_slots s on s.active_pid = r.pid
   where r.replay_lsn is not null and s.slot_type is distinct from 'logical'
   order by r.application_name, r.pid`;

/**
 * Asks a server what it is, where it stands and with whom. `onRole` is told whose server it is and whether it is in recovery,
 * after the position of a primary was read, and before that of a standby is: until it resolves, that is not read.
 * @throws SERVER_UNREACHABLE, SERVER_QUERY
 */
export async function readNodeView(session: Session, onRole: (role: NodeRole) => Promise<void>): Promise<NodeView> {
  const [self = {}] = await session.query(SELF);
  const known = selfOf(self);
  const { systemIdentifier } = known;
  const isStandby = self['in_recovery'] === true;
  let position = isStandby ? undefined : await readPosition(session);
  if (!isStandby) await onRole({ systemIdentifier, inRecovery: false });
  const refused: string[] = [];
  const rows = async (what: string, query: string): Promise<readonly Row[]> => {
    try {
      return await session.query(query);
    } catch (error) {
      if (!isWaldenError(error, 'SERVER_QUERY')) throw error;
      refused.push(`${what}: ${error.message}`);
      return [];
    }
  };
  const [receiver] = isStandby ? await rows('the WAL receiver', RECEIVER) : [];
  const settings = await rows('its settings', SETTINGS);
  const slots = await rows('its replication slots', SLOTS);
  const senders = await rows('who streams from it', SENDERS);
  if (isStandby) await onRole({ systemIdentifier, inRecovery: true });
  position ??= await readPosition(session);
  return {
    ...known,
    position,
    receiver: receiver === undefined ? undefined : receiverOf(receiver),
    settings: settingsOf(settings),
    slots: slots.map(slotOf),
    senders: senders.map(senderOf),
    refused,
  };
}

type Row = Readonly<Record<string, unknown>>;

async function readPosition(session: Session): Promise<NodePosition> {
  const [row = {}] = await session.query(POSITION);
  const lsn = textOf(row['lsn']);
  return {
    inRecovery: row['in_recovery'] === true,
    timeline: timelineOf(row),
    lsn: lsn === undefined ? undefined : parseLsn(lsn),
    lastCommitSecondsAgo: numberOf(row['seconds_ago']),
    isPaused: row['paused'] === true,
  };
}

/**
 * A standby does not say which timeline it replays: it is at least that of its last restart point, and of what it must reach
 * to be consistent; what it receives is of its own or of the next.
 */
function timelineOf(row: Row): TimelineId | undefined {
  const walFile = textOf(row['wal_file']);
  if (walFile !== undefined) return timelineId(Number.parseInt(walFile.slice(0, 8), 16));
  const known = ['received_timeline', 'checkpoint_timeline', 'minimum_timeline'].map((name) => Number(row[name] ?? 0));
  const highest = Math.max(...known);
  return highest > 0 ? timelineId(highest) : undefined;
}

function selfOf(
  row: Row,
): Pick<
  NodeView,
  'version' | 'systemIdentifier' | 'startedSeconds' | 'port' | 'address' | 'role' | 'readsStatistics' | 'readsSettings'
> {
  const systemIdentifier = textOf(row['system_identifier']);
  if (systemIdentifier === undefined)
    throw new WaldenError('SERVER_QUERY', 'PostgreSQL does not say whose server it is');
  return {
    version: Number(row['version']),
    systemIdentifier,
    startedSeconds: Number(row['started']),
    port: Number(row['port']),
    address: textOf(row['address']),
    role: String(row['role']),
    readsStatistics: row['reads_statistics'] === true,
    readsSettings: row['reads_settings'] === true,
  };
}

function receiverOf(row: Row): ReceiverView {
  return {
    status: textOf(row['status']),
    host: textOf(row['sender_host']),
    port: numberOf(row['sender_port']),
    slot: textOf(row['slot_name']),
  };
}

function settingsOf(rows: readonly Row[]): NodeSettings {
  const values = new Map(rows.map((row) => [String(row['name']), String(row['setting'])]));
  return {
    primaryConninfo: values.get('primary_conninfo'),
    primarySlotName: values.get('primary_slot_name'),
    restoreCommand: values.get('restore_command'),
    clusterName: values.get('cluster_name'),
    dataDirectory: values.get('data_directory'),
    // pg_settings tells it in milliseconds.
    applyDelaySeconds: Number(values.get('recovery_min_apply_delay') ?? 0) / 1000,
  };
}

function slotOf(row: Row): NodeSlot {
  return {
    name: String(row['slot_name']),
    active: row['active'] === true,
    walStatus: textOf(row['wal_status']),
    retainedBytes: Number(row['retained']),
  };
}

function senderOf(row: Row): SenderView {
  return {
    applicationName: String(row['application_name']),
    address: textOf(row['address']),
    slot: textOf(row['slot_name']),
    state: String(row['state']),
    replayed: parseLsn(String(row['replayed'])),
    lagBytes: Number(row['lag_bytes']),
    lagSeconds: numberOf(row['lag_seconds']),
  };
}

/** An empty text says as little as none. */
function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function numberOf(value: unknown): number | undefined {
  return value === null || value === undefined ? undefined : Number(value);
}
