import type { BackupId, ClusterName, RepositoryName } from '../catalog.ts';
import type { VerifiedRow, VerifiedSpan } from '../proof.ts';
import type { TimelineId } from '../../src/postgres/lsn.ts';
import type { CatalogDatabase } from './database.ts';
import { type Integer, optionalMicros } from './rows.ts';

interface SpanRow {
  readonly subject: string;
  readonly first: Integer;
  readonly last: Integer;
  readonly verified_at: Integer | null;
}

/** One row for each stretch of objects that were verified at one moment: a handful for millions of segments. */
export class VerifiedSpanTable {
  readonly #insert;
  readonly #overlapping;
  readonly #delete;
  readonly #forget;
  readonly #touching;
  readonly #all;

  constructor(database: CatalogDatabase) {
    this.#insert = database.prepare<[string, string, string, bigint, bigint, bigint | null]>(
      'INSERT INTO verified_span (repository, cluster, subject, first, last, verified_at) VALUES (?, ?, ?, ?, ?, ?)',
    );
    // No two spans overlap: of those that begin before the stretch, only the last can reach into it.
    this.#overlapping = database.prepare<
      { repository: string; cluster: string; subject: string; first: bigint; last: bigint },
      SpanRow
    >(
      `SELECT subject, first, last, verified_at FROM verified_span
       WHERE repository = @repository AND cluster = @cluster AND subject = @subject AND last >= @first AND first <= @last
         AND first >= coalesce((SELECT max(first) FROM verified_span WHERE repository = @repository
           AND cluster = @cluster AND subject = @subject AND first <= @first), @first)`,
    );
    this.#delete = database.prepare<[string, string, string, bigint]>(
      'DELETE FROM verified_span WHERE repository = ? AND cluster = ? AND subject = ? AND first = ?',
    );
    this.#forget = database.prepare<[string, string, string]>(
      'DELETE FROM verified_span WHERE repository = ? AND cluster = ? AND subject = ?',
    );
    this.#touching = database.prepare<[string, string, string, bigint | null, bigint, bigint], SpanRow>(
      `SELECT subject, first, last, verified_at FROM verified_span
       WHERE repository = ? AND cluster = ? AND subject = ? AND verified_at IS ? AND (last = ? OR first = ?)`,
    );
    this.#all = database.prepare<[string, string], SpanRow>(
      `SELECT subject, first, last, verified_at FROM verified_span
       WHERE repository = ? AND cluster = ? ORDER BY subject, first`,
    );
  }

  record(repository: RepositoryName, cluster: ClusterName, { row, first, last, verifiedAt }: VerifiedSpan): void {
    this.cut(repository, cluster, row, { first, last });
    const subject = subjectOf(row);
    const at = verifiedAt === undefined ? null : BigInt(verifiedAt);
    let span = { first, last };
    for (const beside of this.#touching.all(repository, cluster, subject, at, first - 1n, last + 1n)) {
      this.#delete.run(repository, cluster, subject, beside.first);
      span = {
        first: beside.first < span.first ? beside.first : span.first,
        last: beside.last > span.last ? beside.last : span.last,
      };
    }
    this.#insert.run(repository, cluster, subject, span.first, span.last, at);
  }

  /** Nothing is known of these objects any more. */
  cut(
    repository: RepositoryName,
    cluster: ClusterName,
    row: VerifiedRow,
    { first, last }: { readonly first: bigint; readonly last: bigint },
  ): void {
    const subject = subjectOf(row);
    for (const span of this.#overlapping.all({ repository, cluster, subject, first, last })) {
      this.#delete.run(repository, cluster, subject, span.first);
      const keep = (from: bigint, to: bigint): void => {
        if (from <= to) this.#insert.run(repository, cluster, subject, from, to, span.verified_at);
      };
      keep(span.first, first - 1n);
      keep(last + 1n, span.last);
    }
  }

  forget(repository: RepositoryName, cluster: ClusterName, row: VerifiedRow): void {
    this.#forget.run(repository, cluster, subjectOf(row));
  }

  all(repository: RepositoryName, cluster: ClusterName): readonly VerifiedSpan[] {
    return this.#all.all(repository, cluster).map((row) => ({
      row: rowOf(row.subject),
      first: row.first,
      last: row.last,
      verifiedAt: optionalMicros(row.verified_at),
    }));
  }
}

function subjectOf(row: VerifiedRow): string {
  return row.kind === 'backup' ? row.backup : row.timeline.toString(16).toUpperCase().padStart(8, '0');
}

/** A timeline has eight digits, a backup sixteen characters. */
function rowOf(subject: string): VerifiedRow {
  if (subject.length > 8) return { kind: 'backup', backup: subject as BackupId };
  return { kind: 'wal', timeline: Number.parseInt(subject, 16) as TimelineId };
}
