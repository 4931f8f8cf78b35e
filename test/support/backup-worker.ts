import { packFilesAndEncode as packFilesWork } from '../../src/backup/pack-files-task.ts';
import { sealPack as sealPackWork } from '../../src/backup/seal-pack-task.ts';
import { packUnit as packUnitWork } from '../../src/backup/stream/pack-unit-task.ts';
import { surveyDataDirectory as surveyWork } from '../../src/backup/survey-task.ts';
import { asWorkerFunction } from '../../src/platform/worker-pool.ts';

/** The worker functions of a backup, and nothing else. */
export const surveyDataDirectory = asWorkerFunction(surveyWork);
export const packFiles = asWorkerFunction(packFilesWork);
export const packUnit = asWorkerFunction(packUnitWork);
export const sealPack = asWorkerFunction(sealPackWork);
