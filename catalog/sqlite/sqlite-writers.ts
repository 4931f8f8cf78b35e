import type { ClusterName } from '../catalog.ts';
import type { SecondWriter, TimelineWriter, WalNode, WriterCatalog } from '../writers.ts';
import type { TimelineId } from '../../src/postgres/lsn.ts';
import type { Micros } from '../../src/postgres/timestamp.ts';
import type { Transactions } from './engine.ts';
import type { RefusedAttempt } from './second-writers.ts';

/** The part of the catalog that is about who writes the timelines. */
export class SqliteWriters implements WriterCatalog {
  readonly #transactions: Transactions;

  constructor(transactions: Transactions) {
    this.#transactions = transactions;
  }

  writers(cluster: ClusterName): Promise<readonly TimelineWriter[]> {
    return this.#transactions.read(({ writers }) => writers.all(cluster));
  }

  writer(cluster: ClusterName, timeline: TimelineId): Promise<TimelineWriter | undefined> {
    return this.#transactions.read(({ writers }) => writers.find(cluster, timeline));
  }

  claim(wanted: TimelineWriter): Promise<TimelineWriter> {
    return this.#transactions.write(`record who writes timeline ${wanted.timeline}`, ({ writers }) =>
      writers.claim(wanted),
    );
  }

  take(wanted: TimelineWriter): Promise<void> {
    const { cluster, timeline, node } = wanted;
    return this.#transactions.write(`record who writes timeline ${timeline}`, ({ writers, secondWriters }) => {
      writers.take(wanted);
      secondWriters.forget(cluster, timeline, node);
    });
  }

  recordRefused(attempt: RefusedAttempt): Promise<void> {
    return this.#transactions.write('record a second writer', ({ secondWriters }) => {
      secondWriters.record(attempt);
    });
  }

  forgetRefused(cluster: ClusterName, timeline: TimelineId, node: WalNode): Promise<boolean> {
    return this.#transactions.write('forget a second writer', ({ secondWriters }) =>
      secondWriters.forget(cluster, timeline, node),
    );
  }

  forgetQuiet(cluster: ClusterName, since: Micros): Promise<void> {
    return this.#transactions.write('forget second writers', ({ secondWriters }) => {
      secondWriters.forgetQuiet(cluster, since);
    });
  }

  secondWriters(cluster: ClusterName, since: Micros): Promise<readonly SecondWriter[]> {
    return this.#transactions.read(({ secondWriters }) => secondWriters.since(cluster, since));
  }
}
