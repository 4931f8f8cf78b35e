/** The entry file of the worker threads: every task by its name. */
import { packFilesAndEncode as packFilesWork } from './backup/pack-files-task.ts';
import { sealPack as sealPackWork } from './backup/seal-pack-task.ts';
import { surveyDataDirectory as surveyWork } from './backup/survey-task.ts';
import { encryptFile as encryptWork } from '../storage-drivers/encrypt-file.ts';
import { asWorkerFunction } from './platform/worker-pool.ts';
import { copyBlocks as copyBlocksWork } from './restore/chain/copy-blocks-task.ts';
import { finishFiles as finishFilesWork } from './restore/chain/finish-files-task.ts';
import { readIncrements as readIncrementsWork } from './restore/chain/read-increments-task.ts';
import { restoreFiles as restoreFilesWork } from './restore/restore-files-task.ts';
import { searchSegment as searchSegmentWork } from './restore/search-segment-task.ts';
import { archiveWalFile as archiveWork, hashFile as hashWork } from './wal/archive-task.ts';
import { readSpooled as readSpooledWork } from './wal/receive/read-spooled-task.ts';
import { verifyWalObject as verifyWork } from './wal/verify-task.ts';

export const archiveWalFile = asWorkerFunction(archiveWork);
export const encryptFile = asWorkerFunction(encryptWork);
export const hashFile = asWorkerFunction(hashWork);
export const verifyWalObject = asWorkerFunction(verifyWork);
export const surveyDataDirectory = asWorkerFunction(surveyWork);
export const packFiles = asWorkerFunction(packFilesWork);
export const sealPack = asWorkerFunction(sealPackWork);
export const copyBlocks = asWorkerFunction(copyBlocksWork);
export const finishFiles = asWorkerFunction(finishFilesWork);
export const readIncrements = asWorkerFunction(readIncrementsWork);
export const restoreFiles = asWorkerFunction(restoreFilesWork);
export const readSpooled = asWorkerFunction(readSpooledWork);
export const searchSegment = asWorkerFunction(searchSegmentWork);
