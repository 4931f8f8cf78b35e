import { packFiles as packFilesWork } from '../../src/backup/pack-files-task.ts';
import { sealPack as sealPackWork } from '../../src/backup/seal-pack-task.ts';
import { asWorkerFunction } from '../../src/platform/worker-pool.ts';

/** The worker functions of a backup, and nothing else. */
export const packFiles = asWorkerFunction(packFilesWork);
export const sealPack = asWorkerFunction(sealPackWork);
