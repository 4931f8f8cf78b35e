import { type Lsn, lsn } from './lsn.ts';
import type { Micros } from './timestamp.ts';
import { preparedXid, type RecordKind, restorePoint, transactionEnd } from './wal-record.ts';

/** What a walk found; the catalog's WalIndex is this with restore points that may have been left out. */
export interface WalIndexFound {
  readonly firstCommit: Micros | undefined;
  readonly lastCommit: Micros | undefined;
  readonly commits: number;
  readonly firstXid: number | undefined;
  readonly lastXid: number | undefined;
  readonly restorePoints: readonly { readonly name: string; readonly lsn: Lsn; readonly time: Micros }[];
  readonly restorePointsOmitted: 0;
}

/** One transaction's end, as `recovery_target_xid` looks for it. */
export interface TransactionEnd {
  readonly xid: number;
  readonly committed: boolean;
  readonly time: Micros;
  /** End of the record. */
  readonly end: Lsn;
}

/** Whether transaction `a` is older than `b`: ids are compared modulo 2^32 (TransactionIdPrecedes). */
export function xidPrecedes(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** Gathers from the records of one segment what the index keeps. */
export class WalIndexBuilder {
  readonly #segmentStart: bigint;
  readonly #majorVersion: number;
  readonly #onTransaction: ((transaction: TransactionEnd) => void) | undefined;
  #firstCommit: Micros | undefined;
  #lastCommit: Micros | undefined;
  #commits = 0;
  #firstXid: number | undefined;
  #lastXid: number | undefined;
  readonly #restorePoints: { name: string; lsn: Lsn; time: Micros }[] = [];

  constructor(
    segmentStart: bigint,
    majorVersion: number,
    onTransaction: ((transaction: TransactionEnd) => void) | undefined,
  ) {
    this.#segmentStart = segmentStart;
    this.#majorVersion = majorVersion;
    this.#onTransaction = onTransaction;
  }

  /** `record`: the record from its header on, or as much of it as is kept; `endOffset`: its end in the segment. */
  add(kind: Exclude<RecordKind, 'other' | 'switch' | 'prepare'>, record: DataView, endOffset: number): void {
    const end = lsn(this.#segmentStart + BigInt(endOffset));
    if (kind === 'restore-point') {
      const point = restorePoint(record);
      if (point !== undefined) this.#restorePoints.push({ ...point, lsn: end });
      return;
    }
    const time = transactionEnd(record);
    if (time === undefined) return;
    const committed = kind === 'commit' || kind === 'commit-prepared';
    if (committed) this.#addCommit(time);
    const prepared = kind === 'commit-prepared' || kind === 'abort-prepared';
    const xid = prepared ? preparedXid(record, record.getUint8(16), this.#majorVersion) : record.getUint32(4, true);
    if (xid === undefined || xid === 0) return;
    if (this.#firstXid === undefined || xidPrecedes(xid, this.#firstXid)) this.#firstXid = xid;
    if (this.#lastXid === undefined || xidPrecedes(this.#lastXid, xid)) this.#lastXid = xid;
    this.#onTransaction?.({ xid, committed, time, end });
  }

  found(): WalIndexFound {
    return {
      firstCommit: this.#firstCommit,
      lastCommit: this.#lastCommit,
      commits: this.#commits,
      firstXid: this.#firstXid,
      lastXid: this.#lastXid,
      restorePoints: this.#restorePoints,
      restorePointsOmitted: 0,
    };
  }

  #addCommit(time: Micros): void {
    this.#commits += 1;
    if (this.#firstCommit === undefined || time < this.#firstCommit) this.#firstCommit = time;
    if (this.#lastCommit === undefined || time > this.#lastCommit) this.#lastCommit = time;
  }
}
