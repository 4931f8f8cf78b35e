/**
 * What of a data directory does not belong into a base backup: PostgreSQL's own list (backend/backup/basebackup.c; the
 * same from 13 to 18) and what earlier recoveries left behind. Pure; paths are relative to the data directory.
 */

/** Directories at the top whose content the server makes anew at every start; the directory itself is kept. */
const EMPTIED_DIRECTORIES: ReadonlySet<string> = new Set([
  'pg_dynshmem',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
  'pg_wal',
]);

/** Wherever they stand. */
const EXCLUDED_NAMES: ReadonlySet<string> = new Set([
  'postgresql.auto.conf.tmp',
  'current_logfiles.tmp',
  'backup_label',
  'tablespace_map',
  'backup_manifest',
  'postmaster.pid',
  'postmaster.opts',
]);

/**
 * At the top only. PostgreSQL would copy the signal files, and a restored node would become a standby unasked; the backup's
 * own `global/pg_control` is read last and apart.
 */
const EXCLUDED_PATHS: ReadonlySet<string> = new Set([
  'recovery.signal',
  'standby.signal',
  'backup_label.old',
  'tablespace_map.old',
  'backup_manifest.tmp',
  'global/pg_control',
]);

export type Verdict = 'keep' | 'skip' | 'keep-empty';

/** For a directory, or a symlink that stands for one. */
export function judgeDirectory(path: string): Verdict {
  if (EMPTIED_DIRECTORIES.has(path)) return 'keep-empty';
  return isTemporaryName(nameOf(path)) ? 'skip' : 'keep';
}

/**
 * For a file. `initForks` are the relations of the same directory that have an init fork: they are unlogged, and only the
 * init fork is worth keeping.
 */
export function judgeFile(path: string, initForks: ReadonlySet<string>): Verdict {
  const name = nameOf(path);
  if (EXCLUDED_PATHS.has(path) || EXCLUDED_NAMES.has(name) || isTemporaryName(name)) return 'skip';
  // Also pg_internal.init.<pid>, left by a backend that died.
  if (name.startsWith('pg_internal.init')) return 'skip';
  if (!isDatabaseDirectory(directoryOf(path))) return 'keep';
  // A temporary relation: t<backend>_<relfilenumber>, with fork and segment.
  if (/^t\d+_\d+(?:_(?:fsm|vm|init))?(?:\.\d+)?$/.test(name)) return 'skip';
  const relation = parseRelationFile(name);
  return relation !== undefined && relation.fork !== 'init' && initForks.has(relation.number) ? 'skip' : 'keep';
}

/** Empty directories inside pg_wal that a server of this version expects. */
export function walSubdirectories(majorVersion: number): readonly string[] {
  return majorVersion >= 17 ? ['pg_wal/archive_status', 'pg_wal/summaries'] : ['pg_wal/archive_status'];
}

/** Whether relation files stand here: `global`, `base/<oid>`, `pg_tblspc/<oid>/PG_…/<oid>`. */
export function isDatabaseDirectory(path: string): boolean {
  return path === 'global' || /^(?:base|pg_tblspc\/\d+\/PG_[^/]+)\/\d+$/.test(path);
}

export interface RelationFile {
  /** The relfilenumber. */
  readonly number: string;
  readonly fork: 'main' | 'fsm' | 'vm' | 'init';
  /** Files of one fork are numbered from 0; each holds `segment_size` blocks. */
  readonly segment: number;
}

/** The parts of `16384`, `16384_fsm`, `16384_vm.1` …, or undefined. */
export function parseRelationFile(name: string): RelationFile | undefined {
  const match = /^(\d+)(?:_(fsm|vm|init))?(?:\.(\d+))?$/.exec(name);
  if (match?.[1] === undefined) return undefined;
  const fork = (match[2] ?? 'main') as RelationFile['fork'];
  return { number: match[1], fork, segment: match[3] === undefined ? 0 : Number(match[3]) };
}

/** The relation file at this path, if it is one: only these hold pages with checksums. */
export function relationFileAt(path: string): RelationFile | undefined {
  return isDatabaseDirectory(directoryOf(path)) ? parseRelationFile(nameOf(path)) : undefined;
}

function isTemporaryName(name: string): boolean {
  return name.startsWith('pgsql_tmp');
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function directoryOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}
