import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isWaldenError, systemErrorCode, WaldenError } from '../errors.ts';
import { crc32c } from './crc32c.ts';
import { type Lsn, lsn, type SystemIdentifier, systemIdentifier, type TimelineId, timelineId } from './lsn.ts';
import { type SegmentBytes, segmentBytes } from './wal-name.ts';

/** DBState of pg_control.h, in its order and in the words of pg_controldata. */
const STATES = [
  'starting up',
  'shut down',
  'shut down in recovery',
  'shutting down',
  'in crash recovery',
  'in archive recovery',
  'in production',
] as const;

export type ControlFileState = (typeof STATES)[number] | 'unknown';

/** What `global/pg_control` says (ControlFileData in pg_control.h), as far as it is needed here. */
export interface ControlFile {
  readonly systemIdentifier: SystemIdentifier;
  /** 13, 14, … */
  readonly majorVersion: number;
  readonly segmentBytes: SegmentBytes;
  /** Of data pages; always 8192 where Walden works. */
  readonly blockBytes: number;
  /** Whether data pages carry checksums. */
  readonly dataChecksums: boolean;
  /** What the server was doing when it wrote the file last. */
  readonly state: ControlFileState;
  readonly checkpoint: Lsn;
  readonly timeline: TimelineId;
}

/** CATALOG_VERSION_NO of each release; it never changes after the release. */
const MAJOR_OF_CATALOG_VERSION: ReadonlyMap<number, number> = new Map([
  [202007201, 13],
  [202107181, 14],
  [202209061, 15],
  [202307071, 16],
  [202406281, 17],
  [202506291, 18],
]);

const FLOAT_FORMAT = 1234567;
const CRC_OFFSET = 288;
/** PostgreSQL 18 put one boolean before the last field. */
const CRC_OFFSET_18 = 292;
const MIN_BYTES = 296;
const READ_ATTEMPTS = 10;

/** @throws FORMAT_INVALID for another version, another byte order, or a torn read (its checksum is wrong then). */
export function parseControlFile(bytes: Buffer, what = 'pg_control'): ControlFile {
  if (bytes.length < MIN_BYTES) throw new WaldenError('FORMAT_INVALID', `${what} has only ${bytes.length} bytes`);
  const catalogVersion = bytes.readUInt32LE(12);
  const majorVersion = MAJOR_OF_CATALOG_VERSION.get(catalogVersion);
  if (majorVersion === undefined) {
    throw new WaldenError('FORMAT_INVALID', `${what} has the unknown catalog version ${catalogVersion}`, {
      hint: 'Walden works with PostgreSQL 13 to 18',
    });
  }
  const crcOffset = majorVersion >= 18 ? CRC_OFFSET_18 : CRC_OFFSET;
  if (crc32c(bytes, 0, crcOffset) !== bytes.readUInt32LE(crcOffset)) {
    throw new WaldenError('FORMAT_INVALID', `${what} has a wrong checksum`);
  }
  const blockBytes = bytes.readUInt32LE(216);
  if (bytes.readDoubleLE(208) !== FLOAT_FORMAT || blockBytes !== 8192 || bytes.readUInt32LE(224) !== 8192) {
    throw new WaldenError('FORMAT_INVALID', `${what} is of a server that was built with other block sizes`);
  }
  return {
    systemIdentifier: systemIdentifier(bytes.readBigUInt64LE(0).toString()),
    majorVersion,
    segmentBytes: segmentBytes(bytes.readUInt32LE(228)),
    blockBytes,
    dataChecksums: bytes.readUInt32LE(252) !== 0,
    state: STATES[bytes.readUInt32LE(16)] ?? 'unknown',
    checkpoint: lsn(bytes.readBigUInt64LE(32)),
    timeline: timelineId(bytes.readUInt32LE(48)),
  };
}

/**
 * Reads the control file of a data directory; a running server may be writing it, so a torn read is tried again.
 * @throws FORMAT_INVALID, LOCAL_IO
 */
export async function readControlFile(dataDirectory: string): Promise<ControlFile> {
  return parseControlFile(await readControlFileBytes(dataDirectory), join(dataDirectory, 'global', 'pg_control'));
}

/** The bytes of a control file whose checksum is right. @throws as readControlFile */
export async function readControlFileBytes(dataDirectory: string): Promise<Buffer> {
  const path = join(dataDirectory, 'global', 'pg_control');
  for (let attempt = 1; ; attempt += 1) {
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (cause) {
      throw new WaldenError('LOCAL_IO', `unable to read ${path} (${systemErrorCode(cause) ?? 'unknown'})`, {
        hint: 'data_directory must be the data directory, readable for the user of the service',
        cause,
      });
    }
    try {
      parseControlFile(bytes, path);
      return bytes;
    } catch (error) {
      if (attempt >= READ_ATTEMPTS || !isWaldenError(error, 'FORMAT_INVALID')) throw error;
    }
  }
}
