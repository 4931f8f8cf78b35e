import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BackupId } from '../../../catalog/catalog.ts';
import { localIoError, WaldenError } from '../../errors.ts';
import { isRelationPath, wholePath } from '../../postgres/incremental-file.ts';
import type { ManifestEntry, ManifestFile } from '../../repository/manifest.ts';
import { LineFile } from './line-file.ts';

/** A file of one backup of the chain; level 0 is the newest. */
export interface LeveledFile {
  readonly level: number;
  readonly file: ManifestFile;
  /** Only blocks below this number are taken of it. */
  readonly limit: number;
}

/** A file of the newest backup that is an increment, and all that it is made of. */
export interface FileChain {
  /** As it will be called. */
  readonly path: string;
  readonly newest: ManifestFile;
  /** Newest first; those that hold any blocks. */
  readonly increments: readonly LeveledFile[];
  /** The first whole file, going back. */
  readonly base: LeveledFile;
}

/** What one part says is in memory at a time: so many files of one backup each, at the most. */
const FILES_PER_PART = 50_000;
const MAX_PARTS = 512;

/**
 * What the manifests of a chain say of the files that are to be put together. A chain may have a hundred backups of millions
 * of files each, and no two manifests are in the same order: so their lines are sorted into parts by the path, on the disk,
 * and read part by part.
 */
export class ChainIndex {
  readonly #directory: string;
  readonly #parts: number;

  private constructor(directory: string, parts: number) {
    this.#directory = directory;
    this.#parts = parts;
  }

  /** @param files of all the backups together. @throws LOCAL_IO */
  static async create(directory: string, files: number): Promise<ChainIndex> {
    try {
      await mkdir(directory, { mode: 0o700 });
    } catch (error) {
      throw localIoError(error, `unable to make ${directory}`);
    }
    return new ChainIndex(directory, Math.min(MAX_PARTS, Math.max(1, Math.ceil(files / FILES_PER_PART))));
  }

  /** For one backup of the chain; what an earlier writer of the level has written is gone. @throws LOCAL_IO */
  level(level: number): LevelWriter {
    const files: LineFile[] = [];
    try {
      for (let part = 0; part < this.#parts; part += 1) files.push(new LineFile(this.#path(part, level)));
    } catch (error) {
      for (const file of files) file.abandon();
      throw error;
    }
    return new LevelWriter(level, files);
  }

  /**
   * @param ids the backups of the chain, newest first, each written by its `level`
   * @throws BACKUP_INVALID when a backup lacks what the one above builds on, FORMAT_INVALID when it has it twice, LOCAL_IO
   */
  async *chains(ids: readonly BackupId[]): AsyncGenerator<readonly FileChain[], void, undefined> {
    for (let part = 0; part < this.#parts; part += 1) {
      const chains = new Map<string, OpenChain>();
      for (const level of ids.keys()) {
        for await (const line of linesOf(this.#path(part, level))) {
          const [path, said] = JSON.parse(line) as IndexLine;
          if (level === 0) begin(chains, path, said);
          else go(chains.get(path), level, path, said);
        }
        for (const chain of chains.values()) assertGoesOn(chain, ids.slice(0, level + 1));
      }
      const whole = [...chains.values()].map(closed);
      chains.clear();
      yield whole;
    }
  }

  async remove(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }

  #path(part: number, level: number): string {
    return join(this.#directory, `${part}.${level}`);
  }
}

/** The path of the whole file; then the file, or of an increment without blocks only how long the file was. */
type IndexLine = readonly [path: string, said: ManifestFile | number];

/** Takes the entries of one manifest. */
export class LevelWriter {
  readonly #level: number;
  readonly #files: readonly LineFile[];

  constructor(level: number, files: readonly LineFile[]) {
    this.#level = level;
    this.#files = files;
  }

  /** @throws LOCAL_IO, STORAGE_FULL */
  add(entry: ManifestEntry): void {
    if (entry.type !== 'file' || !isRelationPath(entry.path)) return;
    const { increment } = entry;
    if (this.#level === 0 && increment === undefined) return;
    const path = wholePath(entry.path);
    const said = this.#level > 0 && increment?.blocks === 0 ? increment.truncation : entry;
    this.#files[partOf(path, this.#files.length)]?.write(JSON.stringify([path, said] satisfies IndexLine));
  }

  /** @throws LOCAL_IO, STORAGE_FULL */
  close(): void {
    for (const file of this.#files) file.close();
  }

  /** After a failure. */
  abandon(): void {
    for (const file of this.#files) file.abandon();
  }
}

function partOf(path: string, parts: number): number {
  if (parts === 1) return 0;
  return createHash('sha1').update(path).digest().readUInt32BE(0) % parts;
}

interface OpenChain {
  readonly path: string;
  readonly newest: ManifestFile;
  readonly increments: LeveledFile[];
  base: LeveledFile | undefined;
  /** What the increments so far leave of the backups before them, in blocks. */
  limit: number;
  /** The last one that had it. */
  level: number;
}

function begin(chains: Map<string, OpenChain>, path: string, newest: ManifestFile | number): void {
  if (typeof newest === 'number' || newest.increment === undefined)
    throw new WaldenError('INTERNAL', `${path} is whole`);
  if (chains.has(path)) throw twice(path);
  const { blocks, truncation } = newest.increment;
  const increments = blocks === 0 ? [] : [{ level: 0, file: newest, limit: Infinity }];
  chains.set(path, { path, newest, increments, base: undefined, limit: truncation, level: 0 });
}

function go(chain: OpenChain | undefined, level: number, path: string, said: ManifestFile | number): void {
  if (chain === undefined) return;
  // Whatever an older backup has of it is of no interest, but for its standing there twice.
  if (chain.level === level) throw twice(path);
  if (chain.base !== undefined) return;
  chain.level = level;
  if (typeof said === 'number') {
    chain.limit = Math.min(chain.limit, said);
  } else if (said.increment === undefined) {
    chain.base = { level, file: said, limit: chain.limit };
  } else {
    chain.increments.push({ level, file: said, limit: chain.limit });
    chain.limit = Math.min(chain.limit, said.increment.truncation);
  }
}

/** @param ids down to the backup that was read last */
function assertGoesOn({ path, base, level }: OpenChain, ids: readonly BackupId[]): void {
  if (base !== undefined || level === ids.length - 1) return;
  const [child, parent] = ids.slice(-2);
  throw new WaldenError(
    'BACKUP_INVALID',
    `backup ${parent ?? ''} lacks ${path}, on which backup ${child ?? ''} builds`,
  );
}

function closed({ path, newest, increments, base }: OpenChain): FileChain {
  if (base === undefined) {
    throw new WaldenError('BACKUP_INVALID', `the chain of backups is broken: none of them has ${path} as a whole`);
  }
  return { path, newest, increments, base };
}

function twice(path: string): WaldenError {
  return new WaldenError('FORMAT_INVALID', `the manifest names ${path} twice`);
}

/** Lines without their ends. Not readline's: it knows more ends of lines than JSON escapes. */
async function* linesOf(path: string): AsyncGenerator<string, void, undefined> {
  let rest = '';
  try {
    for await (const chunk of createReadStream(path, { encoding: 'utf8' }) as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
  } catch (error) {
    throw localIoError(error, `unable to read ${path}`);
  }
}
