import type { WalFileRecord } from '../../catalog/catalog.ts';
import type { DamagedObject, DamagedPart } from '../../catalog/proof.ts';
import type { ObjectKey } from '../../storage-drivers/driver.ts';
import { errorToDocument, isWaldenError, type WaldenError } from '../errors.ts';
import { inParallel } from '../platform/in-parallel.ts';
import { type Micros, microsFromDate } from '../postgres/timestamp.ts';
import { segmentName } from '../postgres/wal-name.ts';
import { manifestKey, packKey } from '../repository/keys.ts';
import type { StoredBackup } from '../repository/backup-record.ts';
import type { Repository } from '../repository/repository.ts';
import { checkObject, checkWalFile, DAMAGED } from './check-objects.ts';
import type { HeldStretch } from './plan-verification.ts';
import type { VerifyDeps, VerifyOrder } from './verify-deps.ts';

const OBJECTS_AT_ONCE = 2;
/** What was verified is recorded after so many segments: a job that is ended loses no more. */
const SEGMENTS_AT_A_TIME = 64;
/** Of so many objects it is told in the log which. */
const LOGGED = 100;

/** Bad in itself: another cluster's WAL can be whole. */
const BAD = [...DAMAGED, 'SERVER_MISMATCH'] as const;

/** Reads objects of one repository again, marks what is bad and takes the mark from what is right. */
export class RepositoryVerifier {
  readonly #deps: VerifyDeps;
  readonly #order: Pick<VerifyOrder, 'cluster' | 'identity'>;
  readonly #target: Repository;
  /** What was found to be bad here before. */
  readonly #marks: ReadonlyMap<ObjectKey, DamagedObject>;
  readonly #signal: AbortSignal;
  readonly #onRead: (bytes: number) => void;
  /** The moment of everything that it verifies: then it is one row in the catalog, however much that is. */
  readonly #startedAt: Micros;
  /** What was looked at out of its turn: the stretches, of perhaps millions, do not meet one another. */
  readonly #seen = new Set<ObjectKey>();
  readonly rightAgain: ObjectKey[] = [];
  objects = 0;
  bytes = 0;
  #marked = 0;

  constructor(
    deps: VerifyDeps,
    order: Pick<VerifyOrder, 'cluster' | 'identity'>,
    target: Repository,
    marks: readonly DamagedObject[],
    { signal, onRead }: { readonly signal: AbortSignal; readonly onRead: (bytes: number) => void },
  ) {
    this.#deps = deps;
    this.#order = order;
    this.#target = target;
    this.#startedAt = microsFromDate(deps.clock.now());
    this.#marks = new Map(marks.map((mark) => [mark.key, mark]));
    this.#signal = signal;
    this.#onRead = onRead;
  }

  /** The commit record of a backup was read, and is what it should be. */
  async recordIsRight(key: ObjectKey): Promise<void> {
    await this.#unmark(key);
    this.#seen.add(key);
  }

  /** What was found to be bad before: perhaps it is right again. @param backups those whose record could be read */
  async lookAgain(backups: readonly StoredBackup[]): Promise<void> {
    const { catalog } = this.#deps;
    const { cluster } = this.#order;
    for (const { key, part } of this.#marks.values()) {
      if (this.#seen.has(key)) continue;
      if (part.kind === 'wal') {
        const record = await catalog.walFile(this.#target.name, cluster, part.name);
        // What is to be there no more is not damaged.
        if (record === undefined) await this.#unmark(key);
        else await this.walFile(record);
        continue;
      }
      const backup = backups.find(({ start }) => start.id === part.backup);
      const object = backup && objectsOf(backup).find((one) => one.key === key);
      if (object === undefined) continue;
      await this.#look(key, part, object.bytes, object.check(this.#target, this.#signal));
      this.#seen.add(key);
    }
  }

  /** One file, unless this verifier has read it already. */
  async walFile(record: WalFileRecord): Promise<void> {
    await this.#walFile(record);
    this.#seen.add(record.key);
  }

  async #walFile(record: WalFileRecord): Promise<void> {
    const { pool } = this.#deps;
    const { key, name, storedBytes } = record;
    await this.#look(key, { kind: 'wal', name }, storedBytes, () =>
      checkWalFile(pool, this.#target, record, this.#order.identity, this.#signal),
    );
  }

  /** What a plan says, and records how far it has come. */
  async stretch(stretch: HeldStretch, backups: readonly StoredBackup[]): Promise<void> {
    const { row, first, last } = stretch;
    if (row.kind === 'backup') {
      const backup = backups.find(({ start }) => start.id === row.backup);
      const objects = (backup === undefined ? [] : objectsOf(backup)).filter(
        ({ position }) => first <= position && position <= last,
      );
      for (const { key, bytes, check } of objects) {
        await this.#look(key, { kind: 'backup', backup: row.backup }, bytes, check(this.#target, this.#signal));
      }
      await this.#record(stretch, first, last);
      return;
    }
    for (let from = first; from <= last; from += BigInt(SEGMENTS_AT_A_TIME)) {
      const end = from + BigInt(SEGMENTS_AT_A_TIME) - 1n;
      const to = end < last ? end : last;
      await inParallel(this.#segments(row.timeline, from, to), OBJECTS_AT_ONCE, (record) => this.#walFile(record));
      await this.#record(stretch, from, to);
    }
  }

  async #record({ row }: HeldStretch, first: bigint, last: bigint): Promise<void> {
    const span = { row, first, last, verifiedAt: this.#startedAt };
    await this.#deps.catalog.proof.recordVerified(this.#target.name, this.#order.cluster, span);
  }

  /** Those that the catalog knows by now. */
  async *#segments(timeline: WalFileRecord['timeline'], from: bigint, to: bigint): AsyncGenerator<WalFileRecord> {
    const { cluster, identity } = this.#order;
    for (let segment = from; segment <= to; segment += 1n) {
      const name = segmentName(timeline, segment, identity.segmentBytes);
      const record = await this.#deps.catalog.walFile(this.#target.name, cluster, name);
      if (record !== undefined) yield record;
    }
  }

  async #look(key: ObjectKey, part: DamagedPart, bytes: number, check: () => Promise<void>): Promise<void> {
    this.#signal.throwIfAborted();
    if (this.#seen.has(key)) return;
    try {
      await check();
      await this.#unmark(key);
    } catch (error) {
      this.#signal.throwIfAborted();
      if (!isWaldenError(error, ...BAD)) throw error;
      await this.mark(key, part, error);
    }
    this.objects += 1;
    this.bytes += bytes;
    this.#onRead(bytes);
  }

  async mark(key: ObjectKey, part: DamagedPart, error: WaldenError): Promise<void> {
    const { catalog, clock, log } = this.#deps;
    const { cluster } = this.#order;
    const { name: repository } = this.#target;
    this.#seen.add(key);
    // It may have been removed while it was read, as it should be.
    if (!(await this.#isToBeThere(part))) return;
    const object = { repository, cluster, key, part, error: errorToDocument(error) };
    const isNew = await catalog.proof.markDamaged({ ...object, foundAt: microsFromDate(clock.now()) });
    if (!isNew) return;
    this.#marked += 1;
    if (this.#marked > LOGGED) return;
    log.error(
      { cluster, repository, key, error: object.error },
      `DAMAGED: ${key} in repository ${repository} of cluster ${cluster}: ${error.message}`,
    );
  }

  async #isToBeThere(part: DamagedPart): Promise<boolean> {
    const { catalog } = this.#deps;
    const { cluster } = this.#order;
    const { name } = this.#target;
    if (part.kind === 'wal') return (await catalog.walFile(name, cluster, part.name)) !== undefined;
    const backups = await catalog.backups(cluster);
    return backups.some(
      ({ id, repository, state }) => id === part.backup && repository === name && state === 'complete',
    );
  }

  async #unmark(key: ObjectKey): Promise<void> {
    if (!this.#marks.has(key)) return;
    const { catalog, log } = this.#deps;
    const { cluster } = this.#order;
    const { name: repository } = this.#target;
    if (!(await catalog.proof.unmarkDamaged(repository, cluster, key))) return;
    this.rightAgain.push(key);
    log.info({ cluster, repository, key }, `${key} in repository ${repository} was damaged, and is right again`);
  }
}

interface BackupObject {
  /** As in the rows of the catalog. */
  readonly position: bigint;
  readonly key: ObjectKey;
  readonly bytes: number;
  readonly check: (target: Repository, signal: AbortSignal) => () => Promise<void>;
}

/** Its objects besides the commit record, which is read whenever the backup is looked at. */
export function objectsOf({ start, packs, manifest }: StoredBackup): readonly BackupObject[] {
  const { cluster, id } = start;
  const all = [
    { key: manifestKey(cluster, id), stored: manifest },
    ...packs.map((stored, index) => ({ key: packKey(cluster, id, index + 1), stored })),
  ];
  return all.map(({ key, stored }, position) => ({
    ...{ position: BigInt(position), key, bytes: stored.bytes },
    check: (target, signal) => () => checkObject(target, key, stored, signal),
  }));
}
