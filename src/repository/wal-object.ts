import { Compile, type Static, Type } from '../typebox.ts';
import { WaldenError } from '../errors.ts';
import type { ClusterIdentity, WalFileRecord, WalIndex } from '../../catalog/catalog.ts';
import type { ObjectKey, Sha256Hex, StorageDriver } from '../../storage-drivers/driver.ts';
import { formatLsn, parseLsn } from '../postgres/lsn.ts';
import { formatMicros, type Micros, parseMicros } from '../postgres/timestamp.ts';
import { type ParsedWalName, parseWalName, type SegmentBytes } from '../postgres/wal-name.ts';
import { IDENTITY_MEMBERS, identityFromJson } from './identity-json.ts';
import { readSmallPart } from './object-bytes.ts';

/**
 * The head of a stored WAL file: one zstd skippable frame of a fixed size that holds a JSON header. `zstd -d` passes over
 * it, so the object still opens with standard tools; a ranged read of the head is enough to rebuild the catalog. The size
 * is fixed because the head is written last, when the hash of what follows is known.
 */
export const WAL_HEADER_BYTES = 4096;
const SKIPPABLE_MAGIC = 0x184d2a50;
const FRAME_HEAD_BYTES = 8;
/** For the heads of frames, and for what small files take. */
const FRAMES_ROOM_BYTES = 64 * 1024;
const JSON_BYTES = WAL_HEADER_BYTES - FRAME_HEAD_BYTES;
/** Of the largest segment; nothing else that PostgreSQL archives comes near. */
const MAX_PLAIN_BYTES = 1024 * 1024 * 1024;

/**
 * No object of a WAL file of a cluster is larger: what cannot be compressed grows by less than 1/256 in zstd's frames
 * (ZSTD_compressBound), and no file of another size than the segments' is accepted.
 */
export function largestWalObject(segmentBytes: SegmentBytes): number {
  return WAL_HEADER_BYTES + segmentBytes + segmentBytes / 128 + FRAMES_ROOM_BYTES;
}

export interface WalObjectHeader {
  readonly file: ParsedWalName;
  readonly identity: ClusterIdentity;
  readonly plainBytes: number;
  /** Of the bytes as PostgreSQL wrote them. */
  readonly sha256: Sha256Hex;
  readonly archivedAt: Micros;
  /** For segments and partial segments. */
  readonly index: WalIndex | undefined;
}

const Moment = Type.Union([Type.String(), Type.Null()]);
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Xid = Type.Union([Type.Integer({ minimum: 0, maximum: 0xffff_ffff }), Type.Null()]);
const HeaderJson = Type.Object({
  walden: Type.Literal(1),
  name: Type.String(),
  bytes: Type.Integer({ minimum: 0, maximum: MAX_PLAIN_BYTES }),
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  ...IDENTITY_MEMBERS,
  archivedAt: Type.String(),
  index: Type.Union([
    Type.Null(),
    Type.Object({
      firstCommit: Moment,
      lastCommit: Moment,
      commits: Count,
      firstXid: Xid,
      lastXid: Xid,
      restorePoints: Type.Array(Type.Object({ name: Type.String(), lsn: Type.String(), time: Type.String() })),
      restorePointsOmitted: Count,
    }),
  ]),
});
const headerCheck = Compile(HeaderJson);
type HeaderJson = Static<typeof HeaderJson>;

/** The index as it fits into a header: restore points that do not fit are counted instead. */
export function fitIndex(header: WalObjectHeader): WalObjectHeader {
  let fitted = header;
  while (Buffer.byteLength(headerText(fitted)) > JSON_BYTES) {
    const index = fitted.index;
    if (index === undefined || index.restorePoints.length === 0) {
      throw new WaldenError(
        'INTERNAL',
        `the header of ${header.file.name} does not fit into ${WAL_HEADER_BYTES} bytes`,
      );
    }
    const restorePoints = index.restorePoints.slice(0, -1);
    fitted = { ...fitted, index: { ...index, restorePoints, restorePointsOmitted: index.restorePointsOmitted + 1 } };
  }
  return fitted;
}

/** Exactly `WAL_HEADER_BYTES` bytes. The header must fit: see `fitIndex`. */
export function encodeWalObjectHeader(header: WalObjectHeader): Buffer {
  const text = headerText(header);
  const frame = Buffer.alloc(WAL_HEADER_BYTES, ' ');
  frame.writeUInt32LE(SKIPPABLE_MAGIC, 0);
  frame.writeUInt32LE(JSON_BYTES, 4);
  if (Buffer.byteLength(text) > JSON_BYTES) {
    throw new WaldenError('INTERNAL', `the header of ${header.file.name} is longer than ${JSON_BYTES} bytes`);
  }
  frame.write(text, FRAME_HEAD_BYTES, 'utf8');
  return frame;
}

/** @throws FORMAT_INVALID */
export function decodeWalObjectHeader(bytes: Uint8Array, what: string): WalObjectHeader {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (
    frame.length < WAL_HEADER_BYTES ||
    frame.readUInt32LE(0) !== SKIPPABLE_MAGIC ||
    frame.readUInt32LE(4) !== JSON_BYTES
  ) {
    throw new WaldenError('FORMAT_INVALID', `${what} does not begin with the header of a WAL object`);
  }
  let json: unknown;
  try {
    json = JSON.parse(frame.toString('utf8', FRAME_HEAD_BYTES, WAL_HEADER_BYTES));
  } catch (cause) {
    throw new WaldenError('FORMAT_INVALID', `the header of ${what} is not JSON`, { cause });
  }
  if (!headerCheck.Check(json)) throw new WaldenError('FORMAT_INVALID', `the header of ${what} lacks fields`);
  return {
    file: parseWalName(json.name),
    identity: identityFromJson(json),
    plainBytes: json.bytes,
    sha256: json.sha256 as Sha256Hex,
    archivedAt: parseMicros(json.archivedAt),
    index: json.index === null ? undefined : indexFromJson(json.index),
  };
}

/** Reads the head of a stored WAL file. @throws FORMAT_INVALID and what the driver's `get` throws. */
export async function readWalObjectHeader(
  driver: StorageDriver,
  key: ObjectKey,
  signal?: AbortSignal,
): Promise<WalObjectHeader> {
  return decodeWalObjectHeader(await readSmallPart(driver, key, { offset: 0, length: WAL_HEADER_BYTES }, signal), key);
}

/** The catalog's row for a stored object. `history` is the text of a history file. */
export function walFileRecord(
  header: WalObjectHeader,
  place: Pick<WalFileRecord, 'repository' | 'cluster' | 'key' | 'storedBytes' | 'segment' | 'history'>,
): WalFileRecord {
  const { file, plainBytes, sha256, archivedAt, index } = header;
  return { ...place, name: file.name, kind: file.kind, timeline: file.timeline, plainBytes, sha256, archivedAt, index };
}

function headerText({ file, identity, plainBytes, sha256, archivedAt, index }: WalObjectHeader): string {
  return JSON.stringify({
    walden: 1,
    name: file.name,
    bytes: plainBytes,
    sha256,
    systemIdentifier: identity.systemIdentifier,
    majorVersion: identity.majorVersion,
    segmentBytes: identity.segmentBytes,
    archivedAt: formatMicros(archivedAt),
    index: index === undefined ? null : indexToJson(index),
  } satisfies HeaderJson);
}

function indexToJson(index: WalIndex): NonNullable<HeaderJson['index']> {
  return {
    firstCommit: index.firstCommit === undefined ? null : formatMicros(index.firstCommit),
    lastCommit: index.lastCommit === undefined ? null : formatMicros(index.lastCommit),
    commits: index.commits,
    firstXid: index.firstXid ?? null,
    lastXid: index.lastXid ?? null,
    restorePoints: index.restorePoints.map(({ name, lsn, time }) => ({
      name,
      lsn: formatLsn(lsn),
      time: formatMicros(time),
    })),
    restorePointsOmitted: index.restorePointsOmitted,
  };
}

function indexFromJson(json: NonNullable<HeaderJson['index']>): WalIndex {
  return {
    firstCommit: json.firstCommit === null ? undefined : parseMicros(json.firstCommit),
    lastCommit: json.lastCommit === null ? undefined : parseMicros(json.lastCommit),
    commits: json.commits,
    firstXid: json.firstXid ?? undefined,
    lastXid: json.lastXid ?? undefined,
    restorePoints: json.restorePoints.map(({ name, lsn, time }) => ({
      name,
      lsn: parseLsn(lsn),
      time: parseMicros(time),
    })),
    restorePointsOmitted: json.restorePointsOmitted,
  };
}
