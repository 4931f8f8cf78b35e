import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import type { ClusterIdentity } from '../../../catalog/catalog.ts';
import { localIoError, systemErrorCode } from '../../errors.ts';
import { fillBuffer } from '../../platform/fill-buffer.ts';
import { workerTask } from '../../platform/worker-pool.ts';
import type { Lsn, TimelineId } from '../../postgres/lsn.ts';
import { SegmentWalker } from '../../postgres/segment-walker.ts';
import type { WalIndexFound } from '../../postgres/wal-index-builder.ts';
import { WAL_PAGE_BYTES } from '../../postgres/wal-page.ts';
import type { WalPlace } from '../archive-view.ts';

/** On a worker: walks a segment of the receiver's spool as far as it has come, and makes a whole file of it if asked to. */
export const readSpooledTask = workerTask<ReadSpooledInput, ReadSpooledOutput | undefined>('readSpooled');

export interface ReadSpooledInput {
  readonly source: string;
  /** What stands behind is left out. */
  readonly usableBytes: number | undefined;
  readonly identity: ClusterIdentity;
  readonly timeline: TimelineId;
  readonly segment: bigint;
  /** Whether every byte of it has come. */
  readonly isWhole: boolean;
  /** A transaction whose ends are looked for. */
  readonly xid: number | undefined;
  readonly target: FilledFile | undefined;
}

/** A file to be made: what is usable of the segment, then zeros up to the size of a segment. */
export interface FilledFile {
  readonly path: string;
  /** Durable but for its name, and no zeros left out: PostgreSQL may take it for later WAL, which must not find the disk full. */
  readonly isLasting: boolean;
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
}

export interface ReadSpooledOutput {
  /** Where its last whole record ends. */
  readonly end: Lsn;
  readonly lastRecord: Lsn | undefined;
  readonly index: WalIndexFound;
  readonly transactionEnds: readonly WalPlace[];
}

const CHUNK_BYTES = 256 * 1024;
const FILE_MODE = 0o600;

/**
 * @returns undefined when the file is not there: it was finished, archived or put aside meanwhile
 * @throws FORMAT_INVALID, SERVER_MISMATCH, LOCAL_IO, STORAGE_FULL
 */
export function readSpooled(input: ReadSpooledInput): ReadSpooledOutput | undefined {
  const source = openSource(input.source);
  if (source === undefined) return undefined;
  const transactionEnds: WalPlace[] = [];
  const { identity, timeline, segment, isWhole } = input;
  const walker = new SegmentWalker({
    ...{ ...identity, timeline, segment, kind: isWhole ? 'segment' : 'partial' },
    onTransaction: ({ xid, end, time }) => {
      if (xid === input.xid) transactionEnds.push({ end, time });
    },
  });
  try {
    const { target } = input;
    const index = target === undefined ? walk(input, source, walker) : fill(input, source, walker, target);
    return { end: walker.end, lastRecord: walker.lastRecord, index, transactionEnds };
  } finally {
    closeSync(source);
  }
}

function walk(input: ReadSpooledInput, source: number, walker: SegmentWalker): WalIndexFound {
  readPages(input, source, (pages) => {
    walker.feed(pages);
  });
  return walker.finish();
}

/** Reads once: what is walked is what is written. */
function fill(
  input: ReadSpooledInput,
  source: number,
  walker: SegmentWalker,
  { path, owner, isLasting }: FilledFile,
): WalIndexFound {
  // Not through a symlink that somebody has put there.
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  const target = onDisk(`unable to make ${path}`, () => openSync(path, flags, FILE_MODE));
  const write = (bytes: Uint8Array): void => {
    onDisk(`unable to write ${path}`, () => {
      for (let done = 0; done < bytes.length;) done += writeSync(target, bytes, done);
    });
  };
  try {
    let written = readPages(input, source, (pages, plain) => {
      walker.feed(pages);
      write(pages.subarray(0, plain));
    });
    const index = walker.finish();
    if (!isLasting) {
      onDisk(`unable to write ${path}`, () => {
        ftruncateSync(target, input.identity.segmentBytes);
      });
      return index;
    }
    const zeros = Buffer.alloc(CHUNK_BYTES);
    while (written < input.identity.segmentBytes) {
      const rest = zeros.subarray(written % CHUNK_BYTES);
      write(rest);
      written += rest.length;
    }
    onDisk(`unable to sync ${path}`, () => {
      if (owner !== undefined) fchownSync(target, owner.uid, owner.gid);
      fchmodSync(target, FILE_MODE);
      fsyncSync(target);
    });
    return index;
  } catch (error) {
    unlinkSync(path);
    throw error;
  } finally {
    closeSync(target);
  }
}

function openSource(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw localIoError(error, `unable to open ${path}`);
  }
}

/**
 * `take` gets whole pages, the last one filled up with zeros: `plain` of their bytes come from the file.
 * @returns how many bytes came in all
 */
function readPages(
  { source: path, usableBytes, identity }: ReadSpooledInput,
  source: number,
  take: (pages: Buffer, plain: number) => void,
): number {
  const unable = `unable to read ${path}`;
  const size = Math.min(
    onDisk(unable, () => fstatSync(source).size),
    usableBytes ?? Infinity,
    identity.segmentBytes,
  );
  const buffer = Buffer.alloc(CHUNK_BYTES);
  for (let at = 0; at < size;) {
    const plain = onDisk(unable, () => fillBuffer(source, buffer.subarray(0, size - at), at));
    if (plain === 0) return at;
    const pages = Math.ceil(plain / WAL_PAGE_BYTES) * WAL_PAGE_BYTES;
    buffer.fill(0, plain, pages);
    take(buffer.subarray(0, pages), plain);
    at += plain;
  }
  return size;
}

function onDisk<Result>(attempted: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw localIoError(error, attempted);
  }
}
