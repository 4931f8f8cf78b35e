import { workerTask } from '../platform/worker-pool.ts';
import type { SourceEntry, SourceFile } from './list-files.ts';

/** What goes to and comes from the worker that surveys a data directory; see survey-task.ts. */

export interface SurveyInput {
  readonly dataDirectory: string;
  readonly majorVersion: number;
  /** A new file, for the names. */
  readonly plan: string;
  /** See `PackFilesInput`. */
  readonly control: SharedArrayBuffer;
}

/** Where the names of some files stand in the plan. */
export interface Bundle {
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

export interface Survey {
  /** Of all files that are to be read. */
  readonly totalBytes: number;
  /** Also tablespaces. */
  readonly directories: readonly SourceEntry[];
  /** The biggest first. */
  readonly bigFiles: readonly SourceFile[];
  /** All other files. */
  readonly bundles: readonly Bundle[];
  /** In words: what is left out although PostgreSQL does not know it as left out. */
  readonly notes: readonly string[];
}

export const surveyTask = workerTask<SurveyInput, Survey>('surveyDataDirectory');
