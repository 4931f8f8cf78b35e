import type { ClusterName, EventKind, EventLevel, EventQuery, EventRecord } from '../catalog.ts';
import type { CatalogDatabase } from './database.ts';
import { type Integer, microsOf } from './rows.ts';

const KEPT_MICROS = 400 * 86_400 * 1_000_000;
const KEPT_ROWS = 100_000;

interface EventRow {
  readonly id: Integer;
  readonly at: Integer;
  readonly cluster: string | null;
  readonly kind: string;
  readonly level: string;
  readonly subject: string | null;
  readonly message: string;
  readonly facts: string;
}

interface Selection {
  readonly cluster: string | null;
  /** A JSON list. */
  readonly kinds: string | null;
  readonly since: number | null;
  readonly after: number | null;
  readonly limit: number;
}

const SELECT = `
  SELECT * FROM event
  WHERE (@cluster IS NULL OR cluster IS NULL OR cluster = @cluster)
    AND (@kinds IS NULL OR kind IN (SELECT value FROM json_each(@kinds)))
    AND (@since IS NULL OR at >= @since)
    AND (@after IS NULL OR id > @after)`;

export class EventTable {
  readonly #insert;
  readonly #forgetOld;
  readonly #oldest;
  readonly #newest;

  constructor(database: CatalogDatabase) {
    this.#insert = database.prepare<[number, string | null, string, string, string | null, string, string]>(
      'INSERT INTO event (at, cluster, kind, level, subject, message, facts) VALUES (?, ?, ?, ?, ?, ?, ?)',
    );
    this.#forgetOld = database.prepare<[number, number]>('DELETE FROM event WHERE at < ? OR id <= ?');
    this.#oldest = database.prepare<[Selection], EventRow>(`${SELECT} ORDER BY id LIMIT @limit`);
    this.#newest = database.prepare<[Selection], EventRow>(
      `SELECT * FROM (${SELECT} ORDER BY id DESC LIMIT @limit) ORDER BY id`,
    );
  }

  record(event: Omit<EventRecord, 'id'>): EventRecord {
    const { at, cluster, kind, level, subject, message, facts } = event;
    const { lastInsertRowid } = this.#insert.run(
      at,
      cluster ?? null,
      kind,
      level,
      subject ?? null,
      message,
      JSON.stringify(facts),
    );
    const id = Number(lastInsertRowid);
    this.#forgetOld.run(at - KEPT_MICROS, id - KEPT_ROWS);
    return { ...event, id };
  }

  find({ cluster, kinds, since, after, limit }: EventQuery): readonly EventRecord[] {
    const rows = (after === undefined ? this.#newest : this.#oldest).all({
      cluster: cluster ?? null,
      kinds: kinds === undefined ? null : JSON.stringify(kinds),
      since: since ?? null,
      after: after ?? null,
      limit,
    });
    return rows.map((row) => ({
      id: Number(row.id),
      at: microsOf(row.at),
      cluster: row.cluster === null ? undefined : (row.cluster as ClusterName),
      kind: row.kind as EventKind,
      level: row.level as EventLevel,
      subject: row.subject ?? undefined,
      message: row.message,
      facts: JSON.parse(row.facts) as EventRecord['facts'],
    }));
  }
}
