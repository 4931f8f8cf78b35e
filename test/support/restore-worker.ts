import { asWorkerFunction } from '../../src/platform/worker-pool.ts';
import { restoreFiles as restoreFilesWork } from '../../src/restore/restore-files-task.ts';
import { searchSegment as searchSegmentWork } from '../../src/restore/search-segment-task.ts';

/** The workers' functions of the restore, alone. */
export const restoreFiles = asWorkerFunction(restoreFilesWork);
export const searchSegment = asWorkerFunction(searchSegmentWork);
