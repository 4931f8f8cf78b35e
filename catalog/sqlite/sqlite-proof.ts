import type { ClusterName, RepositoryName } from '../catalog.ts';
import type { DamagedObject, DrillRecord, ProofCatalog, VerifiedSpan } from '../proof.ts';
import type { ObjectKey } from '../../storage-drivers/driver.ts';
import type { Transactions } from './engine.ts';

/** The part of the catalog that is about proof. */
export class SqliteProof implements ProofCatalog {
  readonly #transactions: Transactions;

  constructor(transactions: Transactions) {
    this.#transactions = transactions;
  }

  recordVerified(repository: RepositoryName, cluster: ClusterName, span: VerifiedSpan): Promise<void> {
    return this.#transactions.write('record what was verified', ({ verified }) => {
      verified.record(repository, cluster, span);
    });
  }

  verifiedSpans(repository: RepositoryName, cluster: ClusterName): Promise<readonly VerifiedSpan[]> {
    return this.#transactions.read(({ verified }) => verified.all(repository, cluster));
  }

  markDamaged(object: DamagedObject): Promise<boolean> {
    return this.#transactions.write(`mark ${object.key}`, ({ damaged }) => damaged.mark(object));
  }

  unmarkDamaged(repository: RepositoryName, cluster: ClusterName, key: ObjectKey): Promise<boolean> {
    return this.#transactions.write(`unmark ${key}`, ({ damaged }) => damaged.unmark(repository, cluster, key));
  }

  damagedObjects(cluster: ClusterName): Promise<readonly DamagedObject[]> {
    return this.#transactions.read(({ damaged }) => damaged.all(cluster));
  }

  recordDrill(drill: DrillRecord): Promise<void> {
    return this.#transactions.write('record a drill', ({ drills }) => {
      drills.record(drill);
    });
  }

  drills(cluster: ClusterName, limit: number): Promise<readonly DrillRecord[]> {
    return this.#transactions.read(({ drills }) => drills.newest(cluster, limit));
  }
}
