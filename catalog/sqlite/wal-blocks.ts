import type { CommitBounds, SegmentSpan, WalIndex } from '../catalog.ts';
import type { TimelineId } from '../../src/postgres/lsn.ts';
import type { Micros } from '../../src/postgres/timestamp.ts';
import type { ArchiveId } from './archives.ts';
import type { CatalogDatabase } from './database.ts';
import { type Integer, optionalMicros, optionalNumber } from './rows.ts';
import { joinArcs, type XidArc, xidArc } from './xid-arc.ts';

/** Segments of one block: few enough to look at each, and a million segments make no more than 4,000 blocks. */
const BLOCK_SEGMENTS = 256n;

/** What is known of some segments together. */
export interface BlockSummary {
  readonly firstCommit: Micros | undefined;
  readonly lastCommit: Micros | undefined;
  readonly xids: XidArc | undefined;
}

export interface SegmentIndexRow {
  readonly first_commit: Integer | null;
  readonly last_commit: Integer | null;
  readonly first_xid: Integer | null;
  readonly last_xid: Integer | null;
}

interface BlockRow {
  readonly first_commit: Integer | null;
  readonly last_commit: Integer | null;
  readonly xid_start: Integer | null;
  readonly xid_length: Integer | null;
}

interface BoundsRow {
  readonly first: Integer | null;
  readonly last: Integer | null;
}

const NOTHING: BlockSummary = { firstCommit: undefined, lastCommit: undefined, xids: undefined };

/**
 * Summaries of 256 segments each. Commit times ascend with the segments only nearly and transaction ids go round, so no
 * binary search is right; a scan of the summaries is, and looks into the few blocks that can hold the answer.
 */
export class WalBlockTable {
  readonly #find;
  readonly #upsert;
  readonly #delete;
  readonly #segments;
  readonly #segmentBounds;
  readonly #blockBounds;
  readonly #blocksAfter;
  readonly #segmentAfter;
  readonly #blocksWithXid;
  readonly #segmentsWithXid;

  constructor(database: CatalogDatabase) {
    const segmentsOf = `FROM wal_file WHERE kind = 'segment' AND archive = ? AND timeline = ? AND segment BETWEEN ? AND ?`;
    const blocksOf = 'FROM wal_block WHERE archive = ? AND timeline = ? AND block BETWEEN ? AND ?';
    type Span = [ArchiveId, number, bigint, bigint];
    this.#find = database.prepare<[ArchiveId, number, bigint], BlockRow>(
      `SELECT first_commit, last_commit, xid_start, xid_length
       FROM wal_block WHERE archive = ? AND timeline = ? AND block = ?`,
    );
    this.#upsert = database.prepare(
      `INSERT OR REPLACE INTO wal_block (archive, timeline, block, first_commit, last_commit, xid_start, xid_length)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#delete = database.prepare<[ArchiveId, number, bigint]>(
      'DELETE FROM wal_block WHERE archive = ? AND timeline = ? AND block = ?',
    );
    this.#segments = database.prepare<Span, SegmentIndexRow>(
      `SELECT first_commit, last_commit, first_xid, last_xid ${segmentsOf}`,
    );
    const bounds = 'SELECT min(first_commit) AS first, max(last_commit) AS last';
    this.#segmentBounds = database.prepare<Span, BoundsRow>(`${bounds} ${segmentsOf}`);
    this.#blockBounds = database.prepare<Span, BoundsRow>(`${bounds} ${blocksOf}`);
    this.#blocksAfter = database
      .prepare<[...Span, number], bigint>(`SELECT block ${blocksOf} AND last_commit >= ? ORDER BY block`)
      .pluck();
    this.#segmentAfter = database
      .prepare<[...Span, number], bigint>(`SELECT segment ${segmentsOf} AND last_commit >= ? ORDER BY segment LIMIT 1`)
      .pluck();
    this.#blocksWithXid = database
      .prepare<[...Span, number], bigint>(
        `SELECT block ${blocksOf} AND ((? - xid_start) & 4294967295) <= xid_length ORDER BY block`,
      )
      .pluck();
    this.#segmentsWithXid = database
      .prepare<[...Span, number], bigint>(
        `SELECT segment ${segmentsOf}
         AND ((? - first_xid) & 4294967295) <= ((last_xid - first_xid) & 4294967295) ORDER BY segment`,
      )
      .pluck();
  }

  /** A segment that was not there. Only inside the transaction that inserts it. */
  add(archive: ArchiveId, timeline: TimelineId, segment: bigint, index: WalIndex | undefined): void {
    const block = segment / BLOCK_SEGMENTS;
    const row = this.#find.get(archive, timeline, block);
    const added = index === undefined ? NOTHING : summaryOf(index);
    this.#write(archive, timeline, block, join(row === undefined ? NOTHING : blockOf(row), added));
  }

  /** A segment of this block changed or went: sums up anew. */
  refresh(archive: ArchiveId, timeline: TimelineId, segment: bigint): void {
    const block = segment / BLOCK_SEGMENTS;
    const rows = this.#segments.all(archive, timeline, ...segmentsOfBlock(block));
    if (rows.length === 0) this.#delete.run(archive, timeline, block);
    else this.#write(archive, timeline, block, rows.map(segmentSummary).reduce(join));
  }

  bounds(archive: ArchiveId, span: SegmentSpan): CommitBounds {
    const { head, blocks, tail } = split(span);
    const rows = [
      this.#segmentBounds.get(archive, span.timeline, ...head),
      this.#blockBounds.get(archive, span.timeline, ...blocks),
      this.#segmentBounds.get(archive, span.timeline, ...tail),
    ];
    return {
      first: rows.map((row) => optionalMicros(row?.first ?? null)).reduce(earlier, undefined),
      last: rows.map((row) => optionalMicros(row?.last ?? null)).reduce(later, undefined),
    };
  }

  /** The first segment of the span with a commit not earlier than `time`. */
  firstWithCommitFrom(archive: ArchiveId, span: SegmentSpan, time: number): bigint | undefined {
    const blocks = this.#blocksAfter.all(archive, span.timeline, ...blocksOfSpan(span), time);
    for (const block of blocks) {
      const [from, to] = segmentsOfBlock(block, span);
      const found = this.#segmentAfter.get(archive, span.timeline, from, to, time);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  withXid(archive: ArchiveId, span: SegmentSpan, xid: number): readonly bigint[] {
    const blocks = this.#blocksWithXid.all(archive, span.timeline, ...blocksOfSpan(span), xid);
    return blocks.flatMap((block) =>
      this.#segmentsWithXid.all(archive, span.timeline, ...segmentsOfBlock(block, span), xid),
    );
  }

  #write(archive: ArchiveId, timeline: TimelineId, block: bigint, summary: BlockSummary): void {
    const { firstCommit, lastCommit, xids } = summary;
    const values = [firstCommit, lastCommit, xids?.start, xids?.length].map((value) => value ?? null);
    this.#upsert.run(archive, timeline, block, ...values);
  }
}

type Span = readonly [from: bigint, to: bigint];

const EMPTY: Span = [0n, -1n];

function blocksOfSpan(span: SegmentSpan): Span {
  return span.from > span.to ? EMPTY : [span.from / BLOCK_SEGMENTS, span.to / BLOCK_SEGMENTS];
}

function segmentsOfBlock(block: bigint, within?: SegmentSpan): Span {
  const from = block * BLOCK_SEGMENTS;
  const to = from + BLOCK_SEGMENTS - 1n;
  if (within === undefined) return [from, to];
  return [from > within.from ? from : within.from, to < within.to ? to : within.to];
}

/** The span as whole blocks and the segments before and behind them. */
function split(span: SegmentSpan): { readonly head: Span; readonly blocks: Span; readonly tail: Span } {
  const { from, to } = span;
  const firstWhole = (from + BLOCK_SEGMENTS - 1n) / BLOCK_SEGMENTS;
  const behindWhole = (to + 1n) / BLOCK_SEGMENTS;
  if (firstWhole >= behindWhole) return { head: [from, to], blocks: EMPTY, tail: EMPTY };
  return {
    head: [from, firstWhole * BLOCK_SEGMENTS - 1n],
    blocks: [firstWhole, behindWhole - 1n],
    tail: [behindWhole * BLOCK_SEGMENTS, to],
  };
}

function earlier(a: Micros | undefined, b: Micros | undefined): Micros | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a < b ? a : b;
}

function later(a: Micros | undefined, b: Micros | undefined): Micros | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a > b ? a : b;
}

function join(a: BlockSummary, b: BlockSummary): BlockSummary {
  return {
    firstCommit: earlier(a.firstCommit, b.firstCommit),
    lastCommit: later(a.lastCommit, b.lastCommit),
    xids: a.xids === undefined || b.xids === undefined ? (a.xids ?? b.xids) : joinArcs(a.xids, b.xids),
  };
}

function summaryOf(index: Pick<WalIndex, 'firstCommit' | 'lastCommit' | 'firstXid' | 'lastXid'>): BlockSummary {
  const { firstCommit, lastCommit, firstXid, lastXid } = index;
  const xids = firstXid === undefined || lastXid === undefined ? undefined : xidArc(firstXid, lastXid);
  return { firstCommit, lastCommit, xids };
}

function segmentSummary(row: SegmentIndexRow): BlockSummary {
  return summaryOf({
    firstCommit: optionalMicros(row.first_commit),
    lastCommit: optionalMicros(row.last_commit),
    firstXid: optionalNumber(row.first_xid),
    lastXid: optionalNumber(row.last_xid),
  });
}

function blockOf(row: BlockRow): BlockSummary {
  const xids =
    row.xid_start === null || row.xid_length === null
      ? undefined
      : { start: Number(row.xid_start), length: Number(row.xid_length) };
  return { firstCommit: optionalMicros(row.first_commit), lastCommit: optionalMicros(row.last_commit), xids };
}
