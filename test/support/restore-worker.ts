import { asWorkerFunction } from '../../src/platform/worker-pool.ts';
import { copyBlocks as copyBlocksWork } from '../../src/restore/chain/copy-blocks-task.ts';
import { finishFiles as finishFilesWork } from '../../src/restore/chain/finish-files-task.ts';
import { readIncrements as readIncrementsWork } from '../../src/restore/chain/read-increments-task.ts';
import { compareFiles as compareFilesWork } from '../../src/restore/delta/compare-files-task.ts';
import { readOldSegment as readOldSegmentWork } from '../../src/restore/delta/old-segment-task.ts';
import { beginsAsStored as beginsAsStoredWork } from '../../src/restore/delta/same-wal-task.ts';
import { restoreFiles as restoreFilesWork } from '../../src/restore/restore-files-task.ts';
import { searchSegment as searchSegmentWork } from '../../src/restore/search-segment-task.ts';

/** The workers' functions of the restore, alone. */
export const compareFiles = asWorkerFunction(compareFilesWork);
export const readOldSegment = asWorkerFunction(readOldSegmentWork);
export const beginsAsStored = asWorkerFunction(beginsAsStoredWork);
export const copyBlocks = asWorkerFunction(copyBlocksWork);
export const finishFiles = asWorkerFunction(finishFilesWork);
export const readIncrements = asWorkerFunction(readIncrementsWork);
export const restoreFiles = asWorkerFunction(restoreFilesWork);
export const searchSegment = asWorkerFunction(searchSegmentWork);
