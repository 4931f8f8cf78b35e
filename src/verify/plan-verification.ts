import type { BackupRecord, RepositoryName, WalRange } from '../../catalog/catalog.ts';
import type { VerifiedRow, VerifiedSpan } from '../../catalog/proof.ts';
import type { Micros } from '../postgres/timestamp.ts';

/** Objects of one row, of about the same size each, that a repository holds; both ends included. */
export interface HeldStretch {
  readonly row: VerifiedRow;
  readonly first: bigint;
  readonly last: bigint;
  readonly bytesEach: number;
}

/** A part of one that was verified as a whole, or never. */
export interface AgedStretch extends HeldStretch {
  readonly verifiedAt: Micros | undefined;
}

/**
 * What to verify next: what never was first, then what is the longest ago, until the budget is used up. Each time at least one
 * object, and no object twice: so that whatever the budget is, everything has its turn. Pure.
 * @param budgetBytes stored bytes; Infinity: everything
 */
export function planVerification(
  held: readonly HeldStretch[],
  spans: readonly VerifiedSpan[],
  budgetBytes: number,
): readonly HeldStretch[] {
  const planned: HeldStretch[] = [];
  let left = budgetBytes;
  for (const { row, first, last, bytesEach } of oldestFirst(agedStretches(held, spans))) {
    if (left <= 0 && planned.length > 0) break;
    const count = Number(last - first) + 1;
    const taken = Math.min(count, Math.max(1, Math.ceil(left / Math.max(bytesEach, 1))));
    planned.push({ row, first, last: first + BigInt(taken) - 1n, bytesEach });
    left -= taken * bytesEach;
  }
  return planned;
}

/** The stretches, cut where what is known of them changes. Pure. */
export function agedStretches(held: readonly HeldStretch[], spans: readonly VerifiedSpan[]): readonly AgedStretch[] {
  const byRow = new Map<string, VerifiedSpan[]>();
  for (const span of spans) byRow.set(rowName(span.row), [...(byRow.get(rowName(span.row)) ?? []), span]);
  return held.flatMap((stretch) => [...cut(stretch, byRow.get(rowName(stretch.row)) ?? [])]);
}

function* cut(stretch: HeldStretch, spans: readonly VerifiedSpan[]): Generator<AgedStretch> {
  let next = stretch.first;
  for (const span of spans) {
    if (span.last < next) continue;
    if (span.first > stretch.last) break;
    if (span.first > next) yield { ...stretch, first: next, last: span.first - 1n, verifiedAt: undefined };
    const first = span.first > next ? span.first : next;
    const last = span.last < stretch.last ? span.last : stretch.last;
    yield { ...stretch, first, last, verifiedAt: span.verifiedAt };
    next = last + 1n;
  }
  if (next <= stretch.last) yield { ...stretch, first: next, verifiedAt: undefined };
}

function oldestFirst(stretches: readonly AgedStretch[]): readonly AgedStretch[] {
  const age = ({ verifiedAt }: AgedStretch): number => verifiedAt ?? Number.NEGATIVE_INFINITY;
  // Of two that were never verified the difference would be no number.
  return [...stretches].sort((a, b) => (age(a) === age(b) ? 0 : age(a) < age(b) ? -1 : 1));
}

export function bytesOf({ first, last, bytesEach }: HeldStretch): number {
  return (Number(last - first) + 1) * bytesEach;
}

/** Names a row: for maps. */
export function rowName(row: VerifiedRow): string {
  return row.kind === 'wal' ? `wal ${row.timeline}` : row.backup;
}

/** The segments of a repository. Sizes are known of ranges, not of each one. */
export function heldWal(ranges: readonly WalRange[]): readonly HeldStretch[] {
  return ranges.map(({ timeline, first, last, storedBytes }) => ({
    row: { kind: 'wal', timeline },
    ...{ first, last, bytesEach: storedBytes / (Number(last - first) + 1) },
  }));
}

/** How far the verification of a repository has come, by what the catalog knows. */
export interface VerificationAges {
  /** Of what was verified longest ago; undefined: nothing was. */
  readonly oldestAt: Micros | undefined;
  /** Segments and backups of which something was never verified. */
  readonly neverSegments: number;
  readonly neverBackups: number;
}

/** Pure. */
export function verificationAges(
  repository: RepositoryName,
  ranges: readonly WalRange[],
  backups: readonly BackupRecord[],
  spans: readonly VerifiedSpan[],
): VerificationAges {
  const wal = agedStretches(heldWal(ranges), spans);
  const neverSegments = wal
    .filter(({ verifiedAt }) => verifiedAt === undefined)
    .reduce((sum, { first, last }) => sum + Number(last - first) + 1, 0);
  const complete = backups.filter((backup) => backup.repository === repository && backup.state === 'complete');
  const ofBackups = complete.map(({ id }) =>
    spans.filter(({ row }) => row.kind === 'backup' && row.backup === id).map(({ verifiedAt }) => verifiedAt),
  );
  const neverBackups = ofBackups.filter((ages) => ages.length === 0 || ages.includes(undefined)).length;
  const known = [...wal.map(({ verifiedAt }) => verifiedAt), ...ofBackups.flat()].filter((at) => at !== undefined);
  const oldestAt = known.reduce<Micros | undefined>((a, b) => (a === undefined || b < a ? b : a), undefined);
  return { oldestAt, neverSegments, neverBackups };
}
