import type { ClusterName } from '../catalog.ts';
import type { TimelineWriter } from '../writers.ts';
import type { TimelineId } from '../../src/postgres/lsn.ts';
import type { CatalogDatabase } from './database.ts';
import { type Integer, microsOf } from './rows.ts';

interface WriterRow {
  readonly timeline: Integer;
  readonly host: string;
  readonly data_directory: string;
  readonly since: Integer;
}

type Values = [string, number, string, string, number];

export class TimelineWriterTable {
  readonly #claim;
  readonly #take;
  readonly #find;
  readonly #all;

  constructor(database: CatalogDatabase) {
    const insert = 'INTO timeline_writer (cluster, timeline, host, data_directory, since) VALUES (?, ?, ?, ?, ?)';
    this.#claim = database.prepare<Values>(`INSERT OR IGNORE ${insert}`);
    this.#take = database.prepare<Values>(`INSERT OR REPLACE ${insert}`);
    const select = 'SELECT timeline, host, data_directory, since FROM timeline_writer WHERE cluster = ?';
    this.#find = database.prepare<[string, number], WriterRow>(`${select} AND timeline = ?`);
    this.#all = database.prepare<[string], WriterRow>(`${select} ORDER BY timeline`);
  }

  claim(wanted: TimelineWriter): TimelineWriter {
    this.#claim.run(...valuesOf(wanted));
    return this.find(wanted.cluster, wanted.timeline) ?? wanted;
  }

  take(wanted: TimelineWriter): void {
    this.#take.run(...valuesOf(wanted));
  }

  find(cluster: ClusterName, timeline: TimelineId): TimelineWriter | undefined {
    const row = this.#find.get(cluster, timeline);
    return row === undefined ? undefined : writerOf(cluster, row);
  }

  all(cluster: ClusterName): readonly TimelineWriter[] {
    return this.#all.all(cluster).map((row) => writerOf(cluster, row));
  }
}

function valuesOf({ cluster, timeline, node, since }: TimelineWriter): Values {
  return [cluster, timeline, node.host, node.dataDirectory, since];
}

function writerOf(cluster: ClusterName, row: WriterRow): TimelineWriter {
  return {
    cluster,
    timeline: Number(row.timeline) as TimelineId,
    node: { host: row.host, dataDirectory: row.data_directory },
    since: microsOf(row.since),
  };
}
