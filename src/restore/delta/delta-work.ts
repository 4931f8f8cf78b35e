import { rm } from 'node:fs/promises';
import { WaldenError } from '../../errors.ts';
import { wholePath } from '../../postgres/incremental-file.ts';
import type { WorkerPool } from '../../platform/worker-pool.ts';
import type { ManifestEntry, ManifestFile } from '../../repository/manifest.ts';
import { workInFlight } from '../in-flight.ts';
import { type RestorePlaces, targetPath } from '../places.ts';
import { asLocalError } from '../target-directory.ts';
import { compareFilesTask } from './compare-files-task.ts';
import { PathSet } from './path-set.ts';
import { type Removed, removeOthers } from './remove-others.ts';

export interface DeltaTools {
  readonly pool: WorkerPool;
  /** Tasks in flight. */
  readonly parallel: number;
  readonly signal: AbortSignal;
  readonly onPhase: (phase: 'compare' | 'files') => void;
  readonly onKept: (bytes: number, files: number) => void;
}

/** What a delta restore has done besides writing. */
export interface DeltaOutcome extends Removed {
  readonly keptFiles: number;
  readonly keptBytes: number;
}

/** What one task compares. */
const COMPARE_LIMITS = { files: 64, bytes: 256 * 1024 * 1024 };

/** Brings directories near to a backup before it is written into them: what is there and right is kept. */
export class DeltaWork {
  readonly #places: RestorePlaces;
  readonly #tools: DeltaTools;
  readonly #kept = { keptFiles: 0, keptBytes: 0 };
  #wanted = { files: new PathSet(), directories: new PathSet() };
  #removed: Removed = { files: 0, links: [] };

  constructor(places: RestorePlaces, tools: DeltaTools) {
    this.#places = places;
    this.#tools = tools;
  }

  get outcome(): DeltaOutcome {
    return { ...this.#removed, ...this.#kept };
  }

  /** Before the manifest is read, however often that is tried. */
  begin(): void {
    this.#wanted = { files: new PathSet(), directories: new PathSet() };
    // The restore makes it whether the backup names it or not.
    this.#wanted.directories.add('pg_tblspc');
  }

  /** Of the newest backup. */
  note(entry: ManifestEntry): void {
    if (entry.type === 'directory') this.#wanted.directories.add(entry.path);
    if (entry.type === 'file') {
      this.#wanted.files.add(entry.increment === undefined ? entry.path : wholePath(entry.path));
    }
  }

  /** Once the manifest was read wholly. @param isOurs as removeOthers. @throws FORMAT_INVALID, LOCAL_IO */
  async removeOthers(isOurs: (name: string) => boolean = () => false): Promise<void> {
    // Kept for the sake of one line, it would be removed again for the other.
    if (this.#wanted.files.hasRepeated()) {
      throw new WaldenError('FORMAT_INVALID', 'the manifest names a file twice', {
        hint: 'choose another backup with --backup, and report this',
      });
    }
    this.#tools.onPhase('compare');
    this.#removed = await removeOthers(this.#places, this.#wanted, isOurs, this.#tools.signal);
  }

  /**
   * Compares all of these and keeps what is right. `entries` is called twice: what one manifest says of its files may be too
   * much for the memory.
   * @param onKept is told of those that are not. @returns those that are to be written; nothing stands under their names
   * @throws LOCAL_IO, INTERRUPTED
   */
  async left(
    entries: () => AsyncIterable<ManifestEntry>,
    onKept: (files: readonly ManifestFile[]) => void = () => undefined,
  ): Promise<AsyncIterable<ManifestFile>> {
    const numbers = new KeptNumbers();
    const { parallel, signal } = this.#tools;
    await workInFlight(groupsOf(entries()), parallel, signal, async (group) => {
      const kept = await this.#compare(group);
      for (const { number } of kept) numbers.add(number);
      onKept(kept.map(({ file }) => file));
    });
    this.#tools.onPhase('files');
    return notIn(numbers, entries());
  }

  /** The same of a few files. */
  async leftOf(files: readonly ManifestFile[]): Promise<readonly ManifestFile[]> {
    const kept = new Set<number>();
    const { parallel, signal } = this.#tools;
    await workInFlight(groupsOf(files), parallel, signal, async (group) => {
      for (const { number } of await this.#compare(group)) kept.add(number);
    });
    return files.filter((_, number) => !kept.has(number));
  }

  /** What is written wholly, whatever was there. @throws LOCAL_IO */
  async makeRoom(target: string): Promise<void> {
    try {
      await rm(target, { force: true });
    } catch (error) {
      throw asLocalError(error, `unable to remove ${target}`);
    }
  }

  /** @returns those that were kept */
  async #compare(group: readonly NumberedFile[]): Promise<readonly NumberedFile[]> {
    const files = group.map(({ file: { path, size, mode, mtime, sha256 } }) => {
      return { target: targetPath(this.#places, path), size, mode, mtime, sha256 };
    });
    const same = await this.#tools.pool.run(compareFilesTask, { files, owner: this.#places.owner });
    const kept = group.filter((_, index) => same[index] === true);
    const bytes = kept.reduce((sum, { file }) => sum + file.size, 0);
    this.#kept.keptFiles += kept.length;
    this.#kept.keptBytes += bytes;
    this.#tools.onKept(bytes, kept.length);
    return kept;
  }
}

interface NumberedFile {
  readonly file: ManifestFile;
  /** In the order of the manifest, from 0. */
  readonly number: number;
}

async function* groupsOf(
  entries: AsyncIterable<ManifestEntry> | Iterable<ManifestEntry>,
): AsyncGenerator<readonly NumberedFile[], void, undefined> {
  let group: NumberedFile[] = [];
  let bytes = 0;
  let number = 0;
  for await (const entry of entries) {
    if (entry.type !== 'file') continue;
    if (group.length >= COMPARE_LIMITS.files || (group.length > 0 && bytes + entry.size > COMPARE_LIMITS.bytes)) {
      yield group;
      group = [];
      bytes = 0;
    }
    group.push({ file: entry, number });
    bytes += entry.size;
    number += 1;
  }
  if (group.length > 0) yield group;
}

async function* notIn(
  kept: KeptNumbers,
  entries: AsyncIterable<ManifestEntry>,
): AsyncGenerator<ManifestFile, void, undefined> {
  let number = 0;
  for await (const entry of entries) {
    if (entry.type !== 'file') continue;
    if (!kept.has(number)) yield entry;
    number += 1;
  }
}

/** One bit for each file. */
class KeptNumbers {
  #bits = new Uint8Array(1024);

  add(number: number): void {
    const at = number >> 3;
    if (at >= this.#bits.length) {
      const grown = new Uint8Array(Math.max(at + 1, this.#bits.length * 2));
      grown.set(this.#bits);
      this.#bits = grown;
    }
    this.#bits[at] = (this.#bits[at] ?? 0) | (1 << (number & 7));
  }

  has(number: number): boolean {
    return ((this.#bits[number >> 3] ?? 0) & (1 << (number & 7))) !== 0;
  }
}
