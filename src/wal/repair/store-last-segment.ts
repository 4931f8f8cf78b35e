import { open } from 'node:fs/promises';
import { isWaldenError, localIoError, systemErrorCode } from '../../errors.ts';
import type { SegmentRun } from '../../../catalog/catalog.ts';
import { segmentName, segmentNumber, segmentStart } from '../../postgres/wal-name.ts';
import { LONG_HEADER_BYTES, readSegmentHeader } from '../../postgres/wal-page.ts';
import { largestWalObject } from '../../repository/wal-object.ts';
import { storeUnfinished } from '../receive/store-unfinished.ts';
import { lacksSegment } from './archive-state.ts';
import type { DirectorySource } from './directory-source.ts';
import { isBehindFork, type Repair } from './repair.ts';
import { whyNotStored } from './why-not-stored.ts';

/**
 * Stores the segment that a dead server was writing, as far as it had come: not as `<segment>.partial`, a name that the archiver
 * of a promoted standby wants for its own copy and would ask for in vain for ever, but as the unfinished segments of a receiver
 * are. A restore takes it where nothing went on from there, and else only for who names its timeline.
 */
export async function storeLastSegment(repair: Repair, source: DirectorySource): Promise<void> {
  const { context, ledger, archive, signal } = repair;
  const { segmentBytes } = context.identity;
  const run = await lastSegment(source);
  if (run === undefined || !lacksSegment(archive, run.timeline, run.first)) return;
  // Whole, and offered as that.
  if (ledger.wantsSegment(run)) return;
  const name = segmentName(run.timeline, run.first, segmentBytes);
  const refusal = whyNotStored(repair, source, run);
  if (refusal !== undefined) {
    ledger.leftBehind(name, source.name, refusal);
    return;
  }
  if (repair.dryRun) {
    ledger.tail({ segment: name, end: null, from: source.name, behindFork: isBehindFork(repair, run) });
    return;
  }
  const file = { segment: name, path: source.pathOf(name), usableBytes: undefined };
  const end = await storeUnfinished(context, file, async ({ driver }, key, body) => {
    const largestBytes = largestWalObject(segmentBytes);
    try {
      await driver.put(key, body, { ifExists: 'fail', temporary: true, largestBytes, signal });
    } catch (error) {
      // Stored before, up to the same record.
      if (!isWaldenError(error, 'STORAGE_OBJECT_EXISTS')) throw error;
    }
  });
  if (end === undefined) return;
  ledger.tail({ segment: name, end, from: source.name, behindFork: isBehindFork(repair, run) });
}

/** The last one behind the checkpoint that begins as what its name says: those behind it wait to be used again. */
async function lastSegment(source: DirectorySource): Promise<SegmentRun | undefined> {
  const { timeline, checkpoint, segmentBytes } = source.control;
  let last: bigint | undefined;
  for (let segment = segmentNumber(checkpoint, segmentBytes); ; segment += 1n) {
    const path = source.pathOf(segmentName(timeline, segment, segmentBytes));
    if (!(await beginsAt(path, segmentStart(segment, segmentBytes)))) break;
    last = segment;
  }
  return last === undefined ? undefined : { timeline, first: last, last };
}

async function beginsAt(path: string, address: bigint): Promise<boolean> {
  const header = Buffer.alloc(LONG_HEADER_BYTES);
  try {
    const file = await open(path, 'r');
    try {
      await file.read(header, 0, LONG_HEADER_BYTES, 0);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw localIoError(error, `unable to read ${path}`);
  }
  try {
    return readSegmentHeader(header).pageAddress === address;
  } catch {
    // Made ahead and never written: zeros, which are no header.
    return false;
  }
}
