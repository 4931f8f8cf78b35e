import fs from 'node:fs';
import { basename, dirname, join, relative, sep } from 'node:path';
import { newDirectory, removeDirectory } from '../sandbox.ts';

/** The functions as they were before anything was put in their place: see watched-files.ts. */
export const real = { ...fs };

/**
 * What may be left of a disk when its machine or its process stops.
 *
 *   killed            everything that was done: the kernel goes on
 *   nothing unsynced  names and contents as of their last fsync
 *   empty names       the names as they were made, but zeros for what was not fsynced: delayed allocation
 *   the newest name   names and contents as of their last fsync, but for the newest name, which came through
 */
export type Aftermath = 'killed' | 'nothing unsynced' | 'empty names' | 'the newest name';

export const AFTERMATHS: readonly Aftermath[] = ['killed', 'nothing unsynced', 'empty names', 'the newest name'];

/** What stood under a name before it was changed; `kept` is another name of the same file or link. */
type Entry =
  | { readonly type: 'none' }
  | { readonly type: 'directory'; readonly mode: number }
  | { readonly type: 'file'; readonly kept: string };

interface NameChange {
  /** Counts the steps: a rename changes two names in one, and no file system does half of it. */
  readonly step: number;
  readonly directory: string;
  readonly name: string;
  readonly before: Entry;
}

/**
 * A directory tree of which is known what a loss of power would leave. A name is durable when its directory was fsynced
 * after it was made or removed, a content when the file was; nothing else is promised (fsync(2)), although most file systems
 * do more. Modes, owners and times are not followed.
 */
export class Disk {
  readonly root: string;
  readonly #kept: string;
  #keptFiles = 0;
  #steps = 0;
  #names: NameChange[] = [];
  /** Of files that were written since their last fsync, by inode: the content as of then. */
  readonly #unsynced = new Map<number, Buffer>();

  /** Written by native code, which nothing here sees: unsynced until an fsync is seen. */
  readonly #foreign: RegExp | undefined;
  readonly #syncedForeign = new Set<number>();

  constructor(root: string, foreign?: RegExp) {
    this.root = root;
    this.#foreign = foreign;
    this.#kept = newDirectory('kept');
  }

  contains(path: string): boolean {
    return path === this.root || path.startsWith(`${this.root}${sep}`);
  }

  /** Before names are made, removed, or given to another file in one step. Call the result when that has happened. */
  changing(paths: readonly string[]): () => void {
    this.#steps += 1;
    const changes = paths.map((path) => ({
      ...{ step: this.#steps, directory: dirname(path), name: basename(path), before: this.#entryAt(path) },
    }));
    return () => this.#names.push(...changes);
  }

  created(inode: number): void {
    this.#unsynced.set(inode, Buffer.alloc(0));
  }

  /** Before a file that is there is written or truncated. */
  writing(inode: number, path: string): void {
    if (!this.#unsynced.has(inode)) this.#unsynced.set(inode, real.readFileSync(path));
  }

  /** Whether an fsync of this file or directory would make anything durable. */
  isUnsynced(inode: number, path: string): boolean {
    if (this.#unsynced.has(inode) || this.#names.some(({ directory }) => directory === path)) return true;
    return this.#foreign?.test(path) === true && !this.#syncedForeign.has(inode);
  }

  synced(inode: number, path: string): void {
    this.#unsynced.delete(inode);
    this.#syncedForeign.add(inode);
    this.#names = this.#names.filter(({ directory }) => directory !== path);
  }

  /** Changes the real tree into what is left, of which everything is durable then. */
  suffer(aftermath: Aftermath): void {
    if (aftermath === 'killed') return;
    const newest = aftermath === 'the newest name' ? this.#names.at(-1)?.step : undefined;
    if (aftermath !== 'empty names') this.#loseNames(this.#names.filter(({ step }) => step === newest));
    this.#loseContents(aftermath === 'empty names');
    this.#names = [];
    this.#unsynced.clear();
    for (const name of real.readdirSync(this.#kept)) real.rmSync(join(this.#kept, name));
  }

  /** The files as they are, in another directory: what the next process would find, out of the reach of this one. */
  copyTo(directory: string): void {
    for (const file of this.files()) {
      real.mkdirSync(dirname(join(directory, file)), { recursive: true });
      real.writeFileSync(join(directory, file), real.readFileSync(join(this.root, file)));
    }
  }

  remove(): void {
    removeDirectory(this.root);
    removeDirectory(this.#kept);
  }

  /** Paths of all files and links, relative to the root; those in `below` only, if given. */
  files(below = ''): readonly string[] {
    const directory = join(this.root, below);
    if (!real.existsSync(directory)) return [];
    return real
      .readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => relative(this.root, join(entry.parentPath, entry.name)))
      .sort();
  }

  #entryAt(path: string): Entry {
    const found = real.lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) return { type: 'none' };
    if (found.isDirectory()) return { type: 'directory', mode: found.mode & 0o7777 };
    this.#keptFiles += 1;
    const kept = join(this.#kept, String(this.#keptFiles));
    real.linkSync(path, kept);
    return { type: 'file', kept };
  }

  /** Undoes what was not fsynced, backwards, but for what happened to the names of the survivors. */
  #loseNames(survivors: readonly NameChange[]): void {
    for (const { directory, name, before } of this.#names.toReversed()) {
      if (survivors.some((survivor) => survivor.directory === directory && survivor.name === name)) continue;
      // Lost with its directory, of which a later fsync made sure.
      if (!real.existsSync(directory)) continue;
      const path = join(directory, name);
      if (before.type === 'directory') {
        real.mkdirSync(path, { recursive: true, mode: before.mode });
        continue;
      }
      real.rmSync(path, { recursive: true, force: true });
      if (before.type === 'file') real.linkSync(before.kept, path);
    }
  }

  #loseContents(keepSizes: boolean): void {
    for (const file of this.files()) {
      const path = join(this.root, file);
      const { ino, size } = real.lstatSync(path);
      const lost = this.#foreign?.test(path) === true && !this.#syncedForeign.has(ino);
      const durable = lost ? Buffer.alloc(0) : this.#unsynced.get(ino);
      if (durable === undefined) continue;
      real.writeFileSync(path, keepSizes ? Buffer.alloc(size) : durable);
    }
  }
}
