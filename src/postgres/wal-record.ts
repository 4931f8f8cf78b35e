import { type Micros, microsFromPostgres } from './timestamp.ts';

/** Records of the WAL (xlogrecord.h), as far as the index of a segment needs them. */
export const RECORD_HEADER_BYTES = 24;

/** Resource managers (rmgrlist.h). */
const RM_XLOG = 0;
const RM_XACT = 1;

/** Ids of the parts before a record's data (xlogrecord.h). */
const DATA_SHORT = 255;
const DATA_LONG = 254;
const ORIGIN = 253;
const TOPLEVEL_XID = 252;

export type RecordKind =
  'other' | 'switch' | 'restore-point' | 'commit' | 'prepare' | 'abort' | 'commit-prepared' | 'abort-prepared';

/** A kind that is not known here is 'other': it must never keep a segment out of the archive. */
export function recordKind(resourceManager: number, info: number): RecordKind {
  if (resourceManager === RM_XACT) {
    switch (info & 0x70) {
      case 0x00:
        return 'commit';
      case 0x10:
        return 'prepare';
      case 0x20:
        return 'abort';
      case 0x30:
        return 'commit-prepared';
      case 0x40:
        return 'abort-prepared';
      default:
        return 'other';
    }
  }
  if (resourceManager !== RM_XLOG) return 'other';
  if ((info & 0xf0) === 0x40) return 'switch';
  return (info & 0xf0) === 0x70 ? 'restore-point' : 'other';
}

/** Where the main data of a record without block references begins; undefined when it has none, or is no such record. */
function mainData(record: DataView): number | undefined {
  let at = RECORD_HEADER_BYTES;
  while (at + 2 <= record.byteLength) {
    const id = record.getUint8(at);
    if (id === DATA_SHORT) return at + 2;
    if (id === DATA_LONG) return at + 5;
    if (id === ORIGIN) at += 3;
    else if (id === TOPLEVEL_XID) at += 5;
    else return undefined;
  }
  return undefined;
}

/** When the transaction of a commit or abort record ended. */
export function transactionEnd(record: DataView): Micros | undefined {
  const at = mainData(record);
  if (at === undefined || at + 8 > record.byteLength) return undefined;
  return microsFromPostgres(record.getBigInt64(at, true));
}

/** xl_restore_point: time, then the name in 64 bytes, ended by a zero. */
export function restorePoint(record: DataView): { readonly name: string; readonly time: Micros } | undefined {
  const at = mainData(record);
  if (at === undefined || at + 72 > record.byteLength) return undefined;
  const field = Buffer.from(record.buffer, record.byteOffset + at + 8, 64);
  const end = field.indexOf(0);
  return {
    name: field.toString('utf8', 0, end < 0 ? 64 : end),
    time: microsFromPostgres(record.getBigInt64(at, true)),
  };
}

/**
 * The transaction that a commit or abort of a prepared one ends: it stands behind the optional parts of the record
 * (ParseCommitRecord in xactdesc.c), and the record's own transaction id is that of nobody.
 */
export function preparedXid(record: DataView, info: number, majorVersion: number): number | undefined {
  let at = mainData(record);
  if (at === undefined || (info & 0x80) === 0 || at + 12 > record.byteLength) return undefined;
  const parts = record.getUint32(at + 8, true);
  at += 12;
  const skipList = (elementBytes: number): boolean => {
    if (at === undefined || at + 4 > record.byteLength) return false;
    at += 4 + record.getUint32(at, true) * elementBytes;
    return true;
  };
  // xl_xact_stats_items came with 15; its element grew by the object id's other half in 18.
  const lists: readonly (readonly [number, number])[] = [
    [0x02, 4],
    [0x04, 12],
    [0x100, majorVersion >= 18 ? 16 : 12],
    [0x08, 16],
  ];
  if ((parts & 0x01) !== 0) at += 8;
  for (const [flag, elementBytes] of lists) {
    if ((parts & flag) !== 0 && !skipList(elementBytes)) return undefined;
  }
  return (parts & 0x10) !== 0 && at + 4 <= record.byteLength ? record.getUint32(at, true) : undefined;
}
