import type { ClusterName, JobKind, JobRecord, JobState } from '../catalog.ts';
import { WaldenError } from '../../src/errors.ts';
import type { CatalogDatabase } from './database.ts';
import { errorOf, type Integer, jsonText, microsOf, optionalMicros } from './rows.ts';

const KEPT_MICROS = 400 * 86_400 * 1_000_000;
const KEPT_ROWS = 100_000;

interface JobRow {
  readonly id: string;
  readonly kind: string;
  readonly cluster: string | null;
  readonly state: string;
  readonly started_at: Integer;
  readonly finished_at: Integer | null;
  readonly error: string | null;
  readonly result: string | null;
}

export type NewJob = Pick<JobRecord, 'id' | 'kind' | 'cluster' | 'startedAt'>;
export type FinishedJob = Pick<JobRecord, 'id' | 'state' | 'finishedAt' | 'error' | 'result'>;

export class JobTable {
  readonly #create;
  readonly #forgetOld;
  readonly #finish;
  readonly #find;
  readonly #newest;

  constructor(database: CatalogDatabase) {
    this.#create = database.prepare<[string, string, string | null, number]>(
      `INSERT INTO job (id, kind, cluster, state, started_at) VALUES (?, ?, ?, 'running', ?)`,
    );
    this.#forgetOld = database.prepare<[number, number]>(
      `DELETE FROM job WHERE state <> 'running' AND (started_at < ? OR rowid <= ?)`,
    );
    this.#finish = database.prepare<[string, number | null, string | null, string | null, string]>(
      'UPDATE job SET state = ?, finished_at = ?, error = ?, result = ? WHERE id = ?',
    );
    this.#find = database.prepare<[string], JobRow>('SELECT * FROM job WHERE id = ?');
    this.#newest = database.prepare<[string | null, string | null, number], JobRow>(
      'SELECT * FROM job WHERE ? IS NULL OR cluster = ? ORDER BY started_at DESC, rowid DESC LIMIT ?',
    );
  }

  create(job: NewJob): void {
    const { lastInsertRowid } = this.#create.run(job.id, job.kind, job.cluster ?? null, job.startedAt);
    this.#forgetOld.run(job.startedAt - KEPT_MICROS, Number(lastInsertRowid) - KEPT_ROWS);
  }

  /** @throws NOT_FOUND */
  finish(job: FinishedJob): void {
    const { changes } = this.#finish.run(
      job.state,
      job.finishedAt ?? null,
      jsonText(job.error),
      jsonText(job.result),
      job.id,
    );
    if (changes === 0) {
      throw new WaldenError('NOT_FOUND', `cannot finish job ${job.id}: the catalog does not know it`);
    }
  }

  find(id: string): JobRecord | undefined {
    const row = this.#find.get(id);
    return row === undefined ? undefined : jobOf(row);
  }

  newest(limit: number, cluster: ClusterName | undefined): readonly JobRecord[] {
    return this.#newest.all(cluster ?? null, cluster ?? null, limit).map(jobOf);
  }
}

function jobOf(row: JobRow): JobRecord {
  return {
    id: row.id,
    kind: row.kind as JobKind,
    cluster: row.cluster === null ? undefined : (row.cluster as ClusterName),
    state: row.state as JobState,
    startedAt: microsOf(row.started_at),
    finishedAt: optionalMicros(row.finished_at),
    error: row.error === null ? undefined : errorOf(row.error),
    result: row.result === null ? undefined : (JSON.parse(row.result) as unknown),
  };
}
