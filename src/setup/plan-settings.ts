import { commandOwner } from './command-owner.ts';
import type { SettingFacts, SetupFacts } from './setting-facts.ts';

export type Role = 'primary' | 'standby';

/** What a cluster of the configuration needs of its server. */
export interface WantedSettings {
  readonly cluster: string;
  /** Undefined: its WAL is received, and nothing has to be archived. */
  readonly archiveCommand: string | undefined;
  readonly restoreCommand: string;
  /** Whether WAL is received over the replication protocol. */
  readonly receives: boolean;
  /** Whether base backups come over it. */
  readonly streamsBackups: boolean;
  /** Whether commands of somebody else are replaced. */
  readonly replace: boolean;
}

/**
 * `ok`: as it has to be; `change`: to be set; `restart`: set already, and waiting for a restart; `refused`: not to be set by
 * us; `suggested`: right for many, and left to the operator.
 */
export type SettingVerdict = 'ok' | 'change' | 'restart' | 'refused' | 'suggested';

export interface PlannedSetting {
  readonly name: string;
  readonly is: string;
  readonly shall: string;
  readonly verdict: SettingVerdict;
  /** What makes a change take effect. */
  readonly takes: 'reload' | 'restart';
  /** Why, where that does not go without saying; for `refused` also what to do. */
  readonly note: string | undefined;
}

/** The default of PostgreSQL; more than Walden needs, less than anybody notices. */
const ENOUGH = 10;
const SUGGESTED_ARCHIVE_TIMEOUT_SECONDS = 300;

/**
 * What to do with each setting, in the order in which they are set: a command before what switches it on.
 * A setting that the version does not have is left out.
 */
export function planSettings(role: Role, facts: SetupFacts, wanted: WantedSettings): readonly PlannedSetting[] {
  const archives = wanted.archiveCommand !== undefined;
  return [
    ...atLeastReplica(facts),
    ...(archives ? archiveLibrary(facts, wanted) : []),
    ...(wanted.archiveCommand === undefined ? [] : command(facts, 'archive_command', wanted.archiveCommand, wanted)),
    ...(archives ? archiveMode(facts) : []),
    ...(archives ? archiveTimeout(facts) : []),
    ...enough(facts, 'max_wal_senders', sendersNeeded(facts, wanted)),
    ...(wanted.receives ? enough(facts, 'max_replication_slots', facts.otherSlots + 1) : []),
    ...(role === 'standby' ? command(facts, 'restore_command', wanted.restoreCommand, wanted) : []),
    ...(role === 'standby' ? newestTimeline(facts) : []),
    ...(wanted.streamsBackups ? walSummaries(facts) : []),
  ];
}

function sendersNeeded({ otherSenders }: SetupFacts, { receives, streamsBackups }: WantedSettings): number {
  const own = (receives ? 1 : 0) + (streamsBackups ? 1 : 0);
  return own === 0 ? 0 : otherSenders + own;
}

/** Without `replica` nothing can be restored from the WAL. */
function atLeastReplica(facts: SetupFacts): readonly PlannedSetting[] {
  return plan(facts, 'wal_level', (is) => (is === 'minimal' ? 'replica' : is));
}

/** `always` archives on the primary too. */
function archiveMode(facts: SetupFacts): readonly PlannedSetting[] {
  return plan(facts, 'archive_mode', (is) => (is === 'always' ? is : 'on'));
}

/** A library goes before the command (PostgreSQL 15), or must not stand beside it (16). */
function archiveLibrary(facts: SetupFacts, { cluster, replace }: WantedSettings): readonly PlannedSetting[] {
  return plan(facts, 'archive_library', () => '').map((planned) =>
    planned.is === '' || replace ? planned : refused(planned, somebodys(cluster)),
  );
}

function command(
  facts: SetupFacts,
  name: 'archive_command' | 'restore_command',
  shall: string,
  { cluster, replace }: WantedSettings,
): readonly PlannedSetting[] {
  return plan(facts, name, () => shall).map((planned) => {
    const { written = planned.is } = facts.settings.get(name) ?? {};
    const isTaken = [planned.is, written].some((text) => commandOwner(text, cluster) === 'somebody else');
    return planned.verdict === 'ok' || replace || !isTaken ? planned : refused(planned, somebodys(cluster));
  });
}

function archiveTimeout(facts: SetupFacts): readonly PlannedSetting[] {
  return plan(facts, 'archive_timeout', (is) => (is === '0' ? `${SUGGESTED_ARCHIVE_TIMEOUT_SECONDS}` : is)).map(
    (planned) => suggestion(planned, 'a server with little to do keeps its last WAL to itself until a segment is full'),
  );
}

function walSummaries(facts: SetupFacts): readonly PlannedSetting[] {
  return plan(facts, 'summarize_wal', () => 'on').map((planned) =>
    suggestion(planned, 'incremental backups (walden backup --incremental) need it'),
  );
}

/** What a restore wrote for its own target would keep a standby from following a promoted primary. */
function newestTimeline(facts: SetupFacts): readonly PlannedSetting[] {
  return plan(facts, 'recovery_target_timeline', () => 'latest');
}

function enough(
  facts: SetupFacts,
  name: 'max_wal_senders' | 'max_replication_slots',
  needed: number,
): readonly PlannedSetting[] {
  return plan(facts, name, (is) => (Number(is) >= needed ? is : Math.max(ENOUGH, needed).toString()));
}

function plan(facts: SetupFacts, name: string, wish: (is: string) => string): readonly PlannedSetting[] {
  const setting = facts.settings.get(name);
  if (setting === undefined) return [];
  const { value: is, needsRestart } = setting;
  const shall = wish(is);
  const takes = needsRestart ? 'restart' : 'reload';
  return [{ name, is, shall, takes, ...verdictOf(setting, shall, wish) }];
}

/** The files count as well: what they say comes true at the next restart or reload, whatever holds now. */
function verdictOf(
  { value, written, source, pendingRestart }: SettingFacts,
  shall: string,
  wish: (is: string) => string,
): Pick<PlannedSetting, 'verdict' | 'note'> {
  const isRight = value === shall;
  if (source === 'command line') {
    return isRight
      ? { verdict: 'ok', note: undefined }
      : {
          verdict: 'refused',
          note: 'it is given on the command line of postgres (-c, or by what manages the server), which goes before ALTER SYSTEM: change it there',
        };
  }
  const coming = written === undefined || !SWITCH.has(value) ? written : spelledOut(written);
  const willBeRight = coming === undefined ? !pendingRestart : wish(coming) === coming;
  if (isRight && willBeRight) return { verdict: 'ok', note: undefined };
  return { verdict: pendingRestart && willBeRight ? 'restart' : 'change', note: undefined };
}

const SWITCH: ReadonlySet<string> = new Set(['on', 'off', 'always']);

/** The spellings of a boolean (parse_bool), as pg_settings shows it. */
function spelledOut(text: string): string {
  const word = text.toLowerCase();
  if (['on', 'true', 'yes', '1'].includes(word)) return 'on';
  return ['off', 'false', 'no', '0'].includes(word) ? 'off' : word;
}

function refused(planned: PlannedSetting, note: string): PlannedSetting {
  return planned.verdict === 'ok' ? planned : { ...planned, verdict: 'refused', note };
}

function suggestion(planned: PlannedSetting, note: string): PlannedSetting {
  return planned.verdict === 'change' ? { ...planned, verdict: 'suggested', note } : planned;
}

function somebodys(cluster: string): string {
  return `it is somebody else's: once nothing needs it any more, walden setup ${cluster} --replace puts Walden's in its place`;
}
