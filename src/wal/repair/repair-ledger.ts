import type { SegmentRun } from '../../../catalog/catalog.ts';
import { type ErrorDocument, errorToDocument, WaldenError } from '../../errors.ts';
import { formatLsn, type Lsn } from '../../postgres/lsn.ts';
import { type SegmentBytes, segmentName, type WalFileName } from '../../postgres/wal-name.ts';
import { commonRuns, countSegments, holdsSegment, mergedRuns, withoutRuns } from '../segment-runs.ts';

/** Segments by their names, as they are told. */
export interface RunOfNames {
  readonly timeline: number;
  readonly first: string;
  readonly last: string;
  readonly segments: number;
}

/** What a repair has done, or with `dryRun` would do: JSON, kept as the result of the job. */
export interface WalRepairResult {
  readonly cluster: string;
  readonly dryRun: boolean;
  /** Whom it asked, in this order; `error`: why it could not be. */
  readonly nodes: readonly { readonly name: string; readonly error: ErrorDocument | null }[];
  /** `behindFork`: the newest timeline has left theirs before them; they are on no way to it. */
  readonly repaired: readonly (RunOfNames & { readonly from: string; readonly behindFork: boolean })[];
  /** Histories and what else is no segment. */
  readonly files: readonly { readonly name: string; readonly from: string }[];
  /** Last segments of dead servers, stored as far as they had come: up to `end`, or with `dryRun` null. */
  readonly tails: readonly StoredTailOf<string>[];
  /** Of those, what is not stored yet, and why. */
  readonly leftBehind: readonly { readonly segment: string; readonly node: string; readonly reason: string }[];
  /** Of which the archive has other bytes: nothing was overwritten. */
  readonly differing: readonly { readonly name: string; readonly from: string; readonly message: string }[];
  /** What stays missing, with what each node said. */
  readonly missing: readonly (RunOfNames & {
    readonly reasons: readonly { readonly node: string; readonly reason: string }[];
  })[];
}

interface StoredTailOf<Position> {
  readonly segment: string;
  readonly end: Position | null;
  readonly from: string;
  readonly behindFork: boolean;
}

/** Keeps what came of everything that a repair tried. */
export class RepairLedger {
  readonly #segmentBytes: SegmentBytes;
  readonly #repaired: { readonly run: SegmentRun; readonly from: string; readonly behindFork: boolean }[] = [];
  readonly #reasons: { readonly run: SegmentRun; readonly node: string; readonly reason: string }[] = [];
  readonly #nodes: { readonly name: string; readonly error: ErrorDocument | null }[] = [];
  readonly #files: { readonly name: string; readonly from: string }[] = [];
  readonly #tails: StoredTailOf<string>[] = [];
  readonly #leftBehind: { readonly segment: string; readonly node: string; readonly reason: string }[] = [];
  readonly #differing: { readonly name: string; readonly from: string; readonly message: string }[] = [];
  #wanted: readonly SegmentRun[] = [];

  constructor(segmentBytes: SegmentBytes) {
    this.#segmentBytes = segmentBytes;
  }

  node(name: string, error?: WaldenError): void {
    this.#nodes.push({ name, error: error === undefined ? null : errorToDocument(error) });
  }

  wants(runs: readonly SegmentRun[]): void {
    this.#wanted = mergedRuns([...this.#wanted, ...runs]);
  }

  /** What is wanted and has not come; ascending. */
  get left(): readonly SegmentRun[] {
    return withoutRuns(
      this.#wanted,
      this.#repaired.map(({ run }) => run),
    );
  }

  wantsSegment({ timeline, first }: SegmentRun): boolean {
    return holdsSegment(this.#wanted, timeline, first);
  }

  isLeft({ timeline, first }: SegmentRun): boolean {
    return holdsSegment(this.left, timeline, first);
  }

  repaired(run: SegmentRun, from: string, behindFork: boolean): void {
    this.#repaired.push({ run, from, behindFork });
  }

  lacks(node: string, run: SegmentRun, reason: string): void {
    this.#reasons.push({ run, node, reason });
  }

  file(name: WalFileName, from: string): void {
    this.#files.push({ name, from });
  }

  tail({ end, ...tail }: StoredTailOf<Lsn>): void {
    this.#tails.push({ ...tail, end: end === null ? null : formatLsn(end) });
  }

  leftBehind(segment: WalFileName, node: string, reason: string): void {
    this.#leftBehind.push({ segment, node, reason });
  }

  differs(name: WalFileName, from: string, error: WaldenError): void {
    this.#differing.push({ name, from, message: error.message });
  }

  result(cluster: string, dryRun: boolean): WalRepairResult {
    return {
      ...{ cluster, dryRun, nodes: this.#nodes, files: this.#files, tails: this.#tails, differing: this.#differing },
      leftBehind: this.#leftBehind,
      repaired: this.#repairedRuns(),
      missing: this.left.map((run) => ({ ...this.#names(run), reasons: this.#reasonsFor(run) })),
    };
  }

  #repairedRuns(): WalRepairResult['repaired'] {
    const groups = new Map<
      string,
      { readonly from: string; readonly behindFork: boolean; readonly runs: SegmentRun[] }
    >();
    for (const { run, from, behindFork } of this.#repaired) {
      const key = JSON.stringify([from, behindFork]);
      const group = groups.get(key) ?? { from, behindFork, runs: [] };
      groups.set(key, group);
      group.runs.push(run);
    }
    return [...groups.values()].flatMap(({ from, behindFork, runs }) =>
      mergedRuns(runs).map((run) => ({ ...this.#names(run), from, behindFork })),
    );
  }

  /** Each node's words about a part of this run, each once. */
  #reasonsFor(run: SegmentRun): WalRepairResult['missing'][number]['reasons'] {
    const told = new Map<string, { readonly node: string; readonly reason: string }>();
    for (const { run: about, node, reason } of this.#reasons) {
      if (commonRuns([run], [about]).length > 0) told.set(`${node} ${reason}`, { node, reason });
    }
    return [...told.values()];
  }

  #names(run: SegmentRun): RunOfNames {
    const { timeline, first, last } = run;
    const nameOf = (segment: bigint): string => segmentName(timeline, segment, this.#segmentBytes);
    return { timeline, first: nameOf(first), last: nameOf(last), segments: countSegments([run]) };
  }
}

/** @throws ARCHIVE_DUPLICATE, ARCHIVE_GAP when not all is well, with the result in `details.result` */
export function throwWhatIsWrong(result: WalRepairResult): void {
  const { cluster, differing, missing, leftBehind } = result;
  const [different] = differing;
  if (different !== undefined) {
    const fact = `${different.from} has other bytes than the archive of ${cluster}: ${different.message}`;
    throw new WaldenError('ARCHIVE_DUPLICATE', fact, {
      hint: 'nothing was overwritten; two servers have written this timeline: see what the node is before it is used',
      details: { result },
    });
  }
  const [left] = leftBehind;
  if (missing.length === 0 && left !== undefined) {
    throw new WaldenError(
      'ARCHIVE_GAP',
      `the last segment of ${left.node}, ${left.segment}, is not stored: ${left.reason}`,
      {
        hint: 'what is missing otherwise is there; keep the directory until this is stored too',
        details: { result },
      },
    );
  }
  if (missing.length === 0) return;
  const segments = missing.reduce((sum, run) => sum + run.segments, 0);
  const fact = `${segments === 1 ? '1 segment' : `${segments} segments`} of the WAL of ${cluster} stay missing`;
  throw new WaldenError('ARCHIVE_GAP', fact, {
    hint: `name another node with --from, or take a backup, which begins anew behind it: walden backup ${cluster}`,
    details: { result },
  });
}
