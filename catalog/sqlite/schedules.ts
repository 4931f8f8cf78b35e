import type { ScheduleState } from '../catalog.ts';
import type { CatalogDatabase } from './database.ts';
import { type Integer, microsOf } from './rows.ts';

interface ScheduleRow {
  readonly name: string;
  readonly definition: string;
  readonly settled: Integer;
  readonly job: string | null;
  readonly attempts: Integer;
}

export class ScheduleTable {
  readonly #record;
  readonly #all;

  constructor(database: CatalogDatabase) {
    this.#record = database.prepare<[string, string, number, string | null, number]>(
      'INSERT OR REPLACE INTO schedule (name, definition, settled, job, attempts) VALUES (?, ?, ?, ?, ?)',
    );
    this.#all = database.prepare<[], ScheduleRow>('SELECT * FROM schedule ORDER BY name');
  }

  record({ name, definition, settled, job, attempts }: ScheduleState): void {
    this.#record.run(name, definition, settled, job ?? null, attempts);
  }

  all(): readonly ScheduleState[] {
    return this.#all.all().map((row) => ({
      name: row.name,
      definition: row.definition,
      settled: microsOf(row.settled),
      job: row.job ?? undefined,
      attempts: Number(row.attempts),
    }));
  }
}
