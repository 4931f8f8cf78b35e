import { listDataDirectory, type ListOptions, type SourceEntry, type SourceFile } from './list-files.ts';
import type { PackMember } from './pack-input.ts';

/**
 * Cuts the work into tasks for the workers. A first pass over the directory counts and finds the big files, which go first
 * and alone, the biggest at the head, so that no worker is left with a long one at the end. A second pass bundles all the
 * others as it goes: memory does not grow with the number of files.
 */

const BIG_FILE_BYTES = 16 * 1024 * 1024;
const BUNDLE_BYTES = 16 * 1024 * 1024;
const BUNDLE_ENTRIES = 256;

export interface Survey {
  /** Of all files that are to be read. */
  readonly totalBytes: number;
  /** Also tablespaces. */
  readonly directories: readonly SourceEntry[];
  readonly bigFiles: readonly SourceFile[];
  readonly tablespaces: readonly { readonly oid: number; readonly location: string }[];
}

/** The first pass. */
export async function surveyDataDirectory(options: ListOptions, signal: AbortSignal): Promise<Survey> {
  let totalBytes = 0;
  const directories: SourceEntry[] = [];
  const bigFiles: SourceFile[] = [];
  for await (const entry of listDataDirectory(options)) {
    signal.throwIfAborted();
    if (entry.type !== 'file') {
      directories.push(entry);
      continue;
    }
    totalBytes += entry.bytes;
    if (entry.bytes >= BIG_FILE_BYTES) bigFiles.push(entry);
  }
  bigFiles.sort((a, b) => b.bytes - a.bytes);
  const tablespaces = directories
    .filter((entry) => entry.type === 'tablespace')
    .map(({ oid, location }) => ({ oid, location }));
  return { totalBytes, directories, bigFiles, tablespaces };
}

/** The directories of the survey: to be packed before anything else. */
export function directoryMembers(survey: Survey): PackMember[] {
  return survey.directories.map(memberOf);
}

/** The second pass: every file, and what directories were made since the first. */
export async function* planTasks(
  survey: Survey,
  options: ListOptions,
): AsyncGenerator<readonly PackMember[], void, undefined> {
  for (const file of survey.bigFiles) yield [memberOf(file)];
  const planned = new Set([...survey.bigFiles, ...survey.directories].map(({ path }) => path));
  let bundle: PackMember[] = [];
  let bytes = 0;
  // The first pass has told what is left out.
  for await (const entry of listDataDirectory({ ...options, note: () => undefined })) {
    if (planned.has(entry.path)) continue;
    bundle.push(memberOf(entry));
    bytes += entry.type === 'file' ? entry.bytes : 0;
    if (bytes < BUNDLE_BYTES && bundle.length < BUNDLE_ENTRIES) continue;
    yield bundle;
    bundle = [];
    bytes = 0;
  }
  if (bundle.length > 0) yield bundle;
}

function memberOf(entry: SourceEntry): PackMember {
  const { type, path, source } = entry;
  if (type !== 'tablespace') return { type, path, source };
  return { type, path, source, tablespace: { oid: entry.oid, location: entry.location } };
}
