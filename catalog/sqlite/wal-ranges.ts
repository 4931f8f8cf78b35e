import type { WalRange } from '../catalog.ts';
import type { TimelineId } from '../../src/postgres/lsn.ts';
import type { ArchiveId } from './archives.ts';
import type { CatalogDatabase } from './database.ts';
import type { Integer } from './rows.ts';

interface RangeRow {
  readonly timeline: Integer;
  readonly first: Integer;
  readonly last: Integer;
  readonly stored_bytes: Integer;
}

/** One segment as the ranges see it. */
export interface RangeSegment {
  readonly archive: ArchiveId;
  readonly timeline: TimelineId;
  readonly segment: bigint;
  readonly storedBytes: number;
}

/**
 * The unbroken runs of segments, kept up to date with every change so that asking for them costs what they are and not
 * what the archive holds. Segments arrive in any order. Call only inside the transaction that changes wal_file.
 */
export class WalRangeTable {
  readonly #all;
  readonly #holding;
  readonly #upsert;
  readonly #delete;
  readonly #addBytes;
  readonly #sumBytes;

  constructor(database: CatalogDatabase) {
    this.#all = database.prepare<[ArchiveId], RangeRow>(
      'SELECT timeline, first, last, stored_bytes FROM wal_range WHERE archive = ? ORDER BY timeline, first',
    );
    this.#holding = database.prepare<[ArchiveId, number, bigint, bigint], RangeRow>(
      `SELECT timeline, first, last, stored_bytes FROM
         (SELECT * FROM wal_range WHERE archive = ? AND timeline = ? AND first <= ? ORDER BY first DESC LIMIT 1)
       WHERE last >= ?`,
    );
    this.#upsert = database.prepare<[ArchiveId, number, bigint, bigint, bigint]>(
      'INSERT OR REPLACE INTO wal_range (archive, timeline, first, last, stored_bytes) VALUES (?, ?, ?, ?, ?)',
    );
    this.#delete = database.prepare<[ArchiveId, number, bigint]>(
      'DELETE FROM wal_range WHERE archive = ? AND timeline = ? AND first = ?',
    );
    this.#addBytes = database.prepare<[number, ArchiveId, number, bigint]>(
      'UPDATE wal_range SET stored_bytes = stored_bytes + ? WHERE archive = ? AND timeline = ? AND first = ?',
    );
    this.#sumBytes = database
      .prepare<[ArchiveId, number, bigint, bigint], bigint>(
        `SELECT coalesce(sum(stored_bytes), 0) FROM wal_file
         WHERE kind = 'segment' AND archive = ? AND timeline = ? AND segment BETWEEN ? AND ?`,
      )
      .pluck();
  }

  all(archive: ArchiveId): readonly WalRange[] {
    return this.#all.all(archive).map((row) => ({
      timeline: Number(row.timeline) as TimelineId,
      first: row.first,
      last: row.last,
      storedBytes: Number(row.stored_bytes),
    }));
  }

  /** A segment that no range holds yet. */
  add({ archive, timeline, segment, storedBytes }: RangeSegment): void {
    const before = this.#rangeOf(archive, timeline, segment - 1n);
    const after = this.#rangeOf(archive, timeline, segment + 1n);
    if (after !== undefined) this.#delete.run(archive, timeline, after.first);
    const bytes = BigInt(storedBytes) + (before?.stored_bytes ?? 0n) + (after?.stored_bytes ?? 0n);
    this.#upsert.run(archive, timeline, before?.first ?? segment, after?.last ?? segment, bytes);
  }

  /** The same segment takes `difference` more bytes than before. */
  grow(archive: ArchiveId, timeline: TimelineId, segment: bigint, difference: number): void {
    const range = this.#rangeOf(archive, timeline, segment);
    if (range !== undefined) this.#addBytes.run(difference, archive, timeline, range.first);
  }

  /** Takes the segment out; its range shrinks or becomes two. */
  remove({ archive, timeline, segment, storedBytes }: RangeSegment): void {
    const range = this.#rangeOf(archive, timeline, segment);
    if (range === undefined) return;
    const rest = range.stored_bytes - BigInt(storedBytes);
    const left = this.#bytesLeftOf(archive, timeline, range, segment, rest);
    this.#delete.run(archive, timeline, range.first);
    if (range.first < segment) this.#upsert.run(archive, timeline, range.first, segment - 1n, left);
    if (segment < range.last) this.#upsert.run(archive, timeline, segment + 1n, range.last, rest - left);
  }

  /** Adds up the shorter side: retention takes from the beginning, where that side is empty. */
  #bytesLeftOf(archive: ArchiveId, timeline: TimelineId, range: RangeRow, segment: bigint, rest: bigint): bigint {
    const sum = (from: bigint, to: bigint): bigint =>
      from > to ? 0n : (this.#sumBytes.get(archive, timeline, from, to) ?? 0n);
    const leftIsShorter = segment - range.first <= range.last - segment;
    return leftIsShorter ? sum(range.first, segment - 1n) : rest - sum(segment + 1n, range.last);
  }

  #rangeOf(archive: ArchiveId, timeline: TimelineId, segment: bigint): RangeRow | undefined {
    return this.#holding.get(archive, timeline, segment, segment);
  }
}
