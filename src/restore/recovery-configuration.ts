import type { TimelineId } from '../postgres/lsn.ts';
import { formatLsn } from '../postgres/lsn.ts';
import { formatMicros, type Micros } from '../postgres/timestamp.ts';
import { confSetting, parseConf } from './conf-text.ts';
import type { RecoveryTarget } from './target.ts';

/** What a standby follows besides the archive. */
export interface FollowedServer {
  /** The value of primary_conninfo. May hold a password. */
  readonly conninfo: string;
  /** Undefined: none. */
  readonly slot: string | undefined;
  /** How long a commit waits before it is applied. */
  readonly delaySeconds: number;
  /** Where the standby itself listens; undefined: where the settings of the backup say. */
  readonly port: number | undefined;
}

/** What the restored node is to do when it is started. */
export interface RecoveryPlan {
  /** 13, 14, … */
  readonly majorVersion: number;
  readonly target: RecoveryTarget;
  /** 'latest' only for a standby, which follows whatever comes. */
  readonly timeline: TimelineId | 'latest';
  readonly action: 'pause' | 'promote' | 'shutdown';
  readonly standby: boolean;
  /** Undefined: the archive alone. */
  readonly follows?: FollowedServer | undefined;
  /** Keeps archiving as it was configured: this node takes the cluster's place. */
  readonly takeOver: boolean;
  /** The value of restore_command, with `%f` and `%p`. */
  readonly restoreCommand: string;
  readonly restoredAt: Micros;
}

export type SignalFile = 'recovery.signal' | 'standby.signal';

export const SIGNAL_FILES: readonly SignalFile[] = ['recovery.signal', 'standby.signal'];

export function signalFile(plan: Pick<RecoveryPlan, 'standby'>): SignalFile {
  return plan.standby ? 'standby.signal' : 'recovery.signal';
}

const TARGETS = [
  'recovery_target',
  'recovery_target_lsn',
  'recovery_target_name',
  'recovery_target_time',
  'recovery_target_xid',
] as const;

/** Settings of another recovery, or of a node's place in its cluster: they would misdirect the restored one. */
const STALE: ReadonlySet<string> = new Set([
  ...TARGETS,
  'recovery_target_action',
  'recovery_target_inclusive',
  'recovery_target_timeline',
  'restore_command',
  'archive_cleanup_command',
  'recovery_end_command',
  'primary_conninfo',
  'primary_slot_name',
  'recovery_min_apply_delay',
  'promote_trigger_file',
  'synchronous_standby_names',
]);

/** PostgreSQL refuses a name that it does not know in postgresql.auto.conf. */
const REMOVED_IN: ReadonlyMap<string, number> = new Map([['promote_trigger_file', 16]]);
const ADDED_IN: ReadonlyMap<string, number> = new Map([['archive_library', 15]]);

/**
 * The new text of postgresql.auto.conf, which PostgreSQL reads last. What would hurt is kept as a comment; what the rest of
 * the configuration may still say is overruled by a block at the end.
 *
 * PostgreSQL refuses more than one recovery target, in the order in which it applies the settings: each target is set
 * empty first, the one that is meant last.
 */
export function recoveryConfiguration(old: string, plan: RecoveryPlan): string {
  const mark = `# removed by walden restore ${formatMicros(plan.restoredAt)}: `;
  const kept = parseConf(old).map(({ text, name }) =>
    name !== undefined && isStale(name, plan) ? `${mark}${text.trim()}` : text,
  );
  const block = [
    `# written by walden restore ${formatMicros(plan.restoredAt)}`,
    ...settings(plan).map(([name, value]) => confSetting(name, value)),
  ];
  return `${[...kept, ...block].join('\n')}\n`;
}

function isStale(name: string, plan: RecoveryPlan): boolean {
  if (STALE.has(name)) return true;
  return !plan.takeOver && (name === 'archive_mode' || name === 'archive_command' || name === 'archive_library');
}

function settings(plan: RecoveryPlan): readonly (readonly [string, string])[] {
  const neutral = [
    'archive_cleanup_command',
    'recovery_end_command',
    'primary_conninfo',
    'primary_slot_name',
    'promote_trigger_file',
    'synchronous_standby_names',
  ].filter((name) => isKnown(name, plan.majorVersion));
  return [
    ...neutral.map((name) => [name, ''] as const),
    ['recovery_min_apply_delay', `${plan.follows?.delaySeconds ?? 0}s`],
    ...followSettings(plan.follows),
    ...(plan.takeOver ? [] : archivingOff(plan.majorVersion)),
    ['restore_command', plan.restoreCommand],
    ['recovery_target_timeline', plan.timeline.toString()],
    ['recovery_target_action', plan.action],
    ['recovery_target_inclusive', 'inclusive' in plan.target && !plan.target.inclusive ? 'off' : 'on'],
    ...targetSettings(plan.target),
  ];
}

/** Behind the empty ones. */
function followSettings(follows: FollowedServer | undefined): readonly (readonly [string, string])[] {
  if (follows === undefined) return [];
  const { conninfo, slot, port } = follows;
  return [
    ['primary_conninfo', conninfo],
    ...(slot === undefined ? [] : [['primary_slot_name', slot] as const]),
    ...(port === undefined ? [] : [['port', port.toString()] as const]),
  ];
}

/** The others empty first: with one of them set, PostgreSQL refuses the one that is meant. */
function targetSettings(target: RecoveryTarget): readonly (readonly [string, string])[] {
  const meant = targetSetting(target);
  const others = TARGETS.filter((name) => meant.every(([other]) => other !== name));
  return [...others.map((name) => [name, ''] as const), ...meant];
}

/** A restored copy that archives would write a second history into the cluster's archive. */
function archivingOff(majorVersion: number): readonly (readonly [string, string])[] {
  const names = ['archive_command', 'archive_library'].filter((name) => isKnown(name, majorVersion));
  return [['archive_mode', 'off'], ...names.map((name) => [name, ''] as const)];
}

function targetSetting(target: RecoveryTarget): readonly (readonly [string, string])[] {
  switch (target.kind) {
    case 'latest':
      return [];
    case 'immediate':
      return [['recovery_target', 'immediate']];
    case 'time':
      return [['recovery_target_time', formatMicros(target.time).replace('T', ' ').replace('Z', '+00')]];
    case 'lsn':
      return [['recovery_target_lsn', formatLsn(target.lsn)]];
    case 'xid':
      return [['recovery_target_xid', target.xid.toString()]];
    case 'name':
      return [['recovery_target_name', target.name]];
  }
}

function isKnown(name: string, majorVersion: number): boolean {
  return majorVersion >= (ADDED_IN.get(name) ?? 0) && majorVersion < (REMOVED_IN.get(name) ?? Infinity);
}
