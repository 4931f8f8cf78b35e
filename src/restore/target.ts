import type { BackupId } from '../../catalog/catalog.ts';
import { WaldenError } from '../errors.ts';
import { formatLsn, type Lsn, parseLsn, type TimelineId, timelineId } from '../postgres/lsn.ts';
import { describeMicros, type Micros } from '../postgres/timestamp.ts';
import { backupId } from '../repository/names.ts';
import type { TargetRequest } from '../service/api.ts';
import { parseTargetTime } from './target-time.ts';

/**
 * Where recovery is to end, in PostgreSQL's terms (recovery_target_* of PostgreSQL 13 and later).
 *
 * `inclusive` is PostgreSQL's recovery_target_inclusive: whether what happened exactly at the target is replayed.
 */
export type RecoveryTarget =
  | { readonly kind: 'latest' }
  | { readonly kind: 'immediate' }
  | { readonly kind: 'time'; readonly time: Micros; readonly inclusive: boolean }
  | { readonly kind: 'lsn'; readonly lsn: Lsn; readonly inclusive: boolean }
  /** `xid` without its epoch: what a WAL record carries. */
  | { readonly kind: 'xid'; readonly xid: number; readonly inclusive: boolean }
  | { readonly kind: 'name'; readonly name: string };

/** A request, understood. */
export interface TargetChoice {
  readonly target: RecoveryTarget;
  /** Named by the operator; undefined leaves the choice to Walden. */
  readonly timeline: TimelineId | undefined;
  readonly backup: BackupId | undefined;
  /** What was assumed, in words for the operator. */
  readonly notes: readonly string[];
}

/** PostgreSQL refuses longer names (MAXFNAMELEN - 1). */
const MAX_NAME_BYTES = 63;
const EXCLUSIVE_KINDS: ReadonlySet<string> = new Set(['time', 'lsn', 'xid']);

/** @throws USAGE with an example, for whatever cannot be understood. */
export function parseTarget(request: TargetRequest, now: Micros): TargetChoice {
  const { kind, value, exclusive = false } = request;
  const needsValue = kind !== 'latest' && kind !== 'immediate';
  if (needsValue && (value === undefined || value.trim() === '')) {
    throw new WaldenError('USAGE', `--${kind} needs a value`, { hint: `for example: ${EXAMPLES[kind]}` });
  }
  if (!needsValue && value !== undefined) {
    throw new WaldenError('USAGE', `--${kind} takes no value, but ${JSON.stringify(value)} was given`, {
      hint: `for example: ${EXAMPLES[kind]}`,
    });
  }
  if (exclusive && !EXCLUSIVE_KINDS.has(kind)) {
    throw new WaldenError('USAGE', `--exclusive means nothing with --${kind}`, {
      hint: 'use it with --time, --lsn or --xid: recovery then stops just before the target',
    });
  }
  const { target, notes } = parseValue(kind, value?.trim() ?? '', !exclusive, now);
  const { timeline, backup } = request;
  return {
    target,
    timeline: timeline === undefined ? undefined : asUsage('--timeline 2', () => timelineId(timeline)),
    backup: backup === undefined ? undefined : parseBackup(backup),
    notes,
  };
}

const EXAMPLES = {
  latest: '--latest',
  immediate: '--immediate',
  time: "--time '2026-11-22 14:30:00+01' or --time '10 minutes ago'",
  lsn: '--lsn 16/B374D848',
  xid: '--xid 123456',
  name: '--name before_upgrade',
} as const satisfies Record<TargetRequest['kind'], string>;

function parseValue(
  kind: TargetRequest['kind'],
  value: string,
  inclusive: boolean,
  now: Micros,
): { readonly target: RecoveryTarget; readonly notes: readonly string[] } {
  switch (kind) {
    case 'latest':
    case 'immediate':
      return { target: { kind }, notes: [] };
    case 'time': {
      const { time, notes } = parseTargetTime(value, now);
      return { target: { kind, time, inclusive }, notes };
    }
    case 'lsn':
      return { target: { kind, lsn: asUsage(EXAMPLES.lsn, () => parseLsn(value)), inclusive }, notes: [] };
    case 'xid':
      return { target: { kind, xid: parseXid(value), inclusive }, notes: [] };
    case 'name':
      return { target: { kind, name: parseName(value) }, notes: [] };
  }
}

/** The target in words, with the zone. */
export function describeTarget(target: RecoveryTarget): string {
  switch (target.kind) {
    case 'latest':
      return 'the end of the archived WAL';
    case 'immediate':
      return 'the end of the backup';
    case 'time':
      return `${target.inclusive ? '' : 'just before '}${describeMicros(target.time)}`;
    case 'lsn':
      return `${target.inclusive ? '' : 'just before '}LSN ${formatLsn(target.lsn)}`;
    case 'xid':
      return `${target.inclusive ? '' : 'just before '}the end of transaction ${target.xid}`;
    case 'name':
      return `restore point "${target.name}"`;
  }
}

/** PostgreSQL takes the 64-bit form of pg_current_xact_id too and drops the epoch; 0 to 2 are no transactions. */
function parseXid(value: string): number {
  const parsed = /^\d{1,20}$/.test(value) ? BigInt(value) : 0n;
  const xid = Number(parsed & 0xffff_ffffn);
  if (parsed > 0xffff_ffff_ffff_ffffn || xid < 3) {
    throw new WaldenError('USAGE', `${JSON.stringify(value)} is not a transaction`, {
      hint: `write the decimal number that pg_current_xact_id() gives, for example: ${EXAMPLES.xid}`,
    });
  }
  return xid;
}

function parseName(value: string): string {
  const bytes = Buffer.byteLength(value);
  // eslint-disable-next-line no-control-regex -- a control character would break out of its line in postgresql.auto.conf
  if (bytes > MAX_NAME_BYTES || /[\u0000-\u001f\u007f]/.test(value)) {
    throw new WaldenError('USAGE', `${JSON.stringify(value)} cannot be the name of a restore point`, {
      hint: `names have at most ${MAX_NAME_BYTES} bytes and no control characters, for example: ${EXAMPLES.name}`,
    });
  }
  return value;
}

function parseBackup(text: string): BackupId | undefined {
  return text === 'latest' ? undefined : asUsage('--backup 20261122T021500F', () => backupId(text));
}

/** What a value type refuses is a mistake in the command line here. */
function asUsage<T>(example: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    const message = cause instanceof WaldenError ? cause.message : String(cause);
    throw new WaldenError('USAGE', message, { hint: `for example: ${example}`, cause });
  }
}
