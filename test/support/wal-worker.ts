import { asWorkerFunction } from '../../src/platform/worker-pool.ts';
import { archiveWalFile as archiveWork, hashFile as hashWork } from '../../src/wal/archive-task.ts';
import { readSpooled as readSpooledWork } from '../../src/wal/receive/read-spooled-task.ts';
import { verifyWalObject as verifyWork } from '../../src/wal/verify-task.ts';

/** The worker functions of the WAL room alone. */
export const archiveWalFile = asWorkerFunction(archiveWork);
export const hashFile = asWorkerFunction(hashWork);
export const readSpooled = asWorkerFunction(readSpooledWork);
export const verifyWalObject = asWorkerFunction(verifyWork);
