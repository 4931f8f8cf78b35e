import { closeSync, openSync, writeSync } from 'node:fs';
import { localIoError, WaldenError } from '../errors.ts';
import { listDataDirectory, type SourceEntry, type SourceFile } from './list-files.ts';
import { STOP } from './pack-input.ts';
import type { Bundle, Survey, SurveyInput } from './survey-input.ts';

/**
 * Walks the data directory on a worker thread: counts, finds what goes ahead of all, and writes down the names of all
 * others, in bundles of about the same work. They stand in a file: memory does not grow with the number of files.
 */

const BIG_FILE_BYTES = 16 * 1024 * 1024;
const BUNDLE_BYTES = 16 * 1024 * 1024;
const BUNDLE_ENTRIES = 256;

/** @throws LOCAL_IO, STORAGE_FULL, INTERRUPTED (the control says stop) */
export function surveyDataDirectory({ dataDirectory, majorVersion, plan, control }: SurveyInput): Survey {
  const notes: string[] = [];
  const bigFiles: SourceFile[] = [];
  const directories: SourceEntry[] = [];
  const words = new BigInt64Array(control);
  let totalBytes = 0;
  const bundles = new BundleFile(plan);
  try {
    for (const entry of listDataDirectory({ dataDirectory, majorVersion, note: (note) => notes.push(note) })) {
      if (Atomics.load(words, STOP) !== 0n) throw new WaldenError('INTERRUPTED', 'the backup was interrupted');
      if (entry.type !== 'file') {
        directories.push(entry);
        continue;
      }
      totalBytes += entry.bytes;
      if (entry.bytes >= BIG_FILE_BYTES) bigFiles.push(entry);
      else bundles.add(entry);
    }
    bundles.flush();
  } finally {
    bundles.close();
  }
  bigFiles.sort((a, b) => b.bytes - a.bytes);
  return { totalBytes, directories, bigFiles, bundles: bundles.written, notes };
}

/** Each bundle is a JSON array of paths. */
class BundleFile {
  readonly written: Bundle[] = [];
  readonly #path: string;
  readonly #descriptor: number;
  #offset = 0;
  #paths: string[] = [];
  #bytes = 0;

  constructor(path: string) {
    this.#path = path;
    this.#descriptor = this.#guarded(() => openSync(path, 'wx', 0o640));
  }

  add({ path, bytes }: SourceFile): void {
    this.#paths.push(path);
    this.#bytes += bytes;
    if (this.#bytes >= BUNDLE_BYTES || this.#paths.length >= BUNDLE_ENTRIES) this.flush();
  }

  flush(): void {
    if (this.#paths.length === 0) return;
    const text = Buffer.from(JSON.stringify(this.#paths));
    for (let done = 0; done < text.byteLength;) {
      done += this.#guarded(() => writeSync(this.#descriptor, text, done));
    }
    this.written.push({ offset: this.#offset, length: text.byteLength });
    this.#offset += text.byteLength;
    this.#paths = [];
    this.#bytes = 0;
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw localIoError(error, `unable to write the list of files ${this.#path}`);
    }
  }
}
