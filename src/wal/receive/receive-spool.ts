import { constants } from 'node:fs';
import { access, copyFile, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { localIoError, systemErrorCode, WaldenError } from '../../errors.ts';
import { beginAlike } from '../../platform/begin-alike.ts';
import { makeDirectories, syncDirectory, syncFile } from '../../platform/files.ts';
import { parseWalName, type WalFileName } from '../../postgres/wal-name.ts';

const DIRECTORY_MODE = 0o750;
const FILE_MODE = 0o640;
const PARTIAL = '.partial';

/** A segment that was being received; how much of it is there says nothing about how much of it is safe. */
export interface PartialSegment {
  readonly segment: WalFileName;
  readonly bytes: number;
}

/** A partial segment that was put aside. */
export interface KeptSegment {
  readonly segment: WalFileName;
  readonly path: string;
}

/**
 * Where received WAL waits until it is durable in every repository that the cluster requires. Unlike the rest of the spool it
 * may be all that is left of acknowledged WAL, so that everything here is fsynced, and nothing is removed but what is stored.
 *
 *   receive/<segment>.partial   the segment being received: as many bytes as have come, and perhaps zeros behind them
 *   receive/done/<file>         whole segments, and history files
 *   receive/kept/<file>.<n>     what the server did not go on with: never removed; read for a timeline that was left
 */
export class ReceiveSpool {
  readonly directory: string;
  readonly #done: string;
  readonly #kept: string;

  /** @param directory of the cluster's spool */
  constructor(directory: string) {
    this.directory = join(directory, 'receive');
    this.#done = join(this.directory, 'done');
    this.#kept = join(this.directory, 'kept');
  }

  /** Makes the directories and removes what a killed service had staged. @throws LOCAL_IO, STORAGE_FULL, as all here */
  async open(): Promise<void> {
    await this.#attempt('make', async () => {
      for (const directory of [this.directory, this.#done, this.#kept]) {
        await makeDirectories(directory, DIRECTORY_MODE);
        for (const entry of await readdir(directory)) {
          if (entry.startsWith('.')) await rm(join(directory, entry), { force: true });
        }
      }
    });
  }

  /** False before a receiver has opened it for the first time. */
  async exists(): Promise<boolean> {
    try {
      await access(this.#kept);
      return true;
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return false;
      throw localIoError(error, `unable to read the spool ${this.directory}`);
    }
  }

  /** In ascending order of name, without those that are finished or put aside meanwhile. */
  async partials(): Promise<readonly PartialSegment[]> {
    return await this.#attempt('read', async () => {
      const names = (await readdir(this.directory)).filter((entry) => entry.endsWith(PARTIAL)).sort();
      const found = await Promise.all(
        names.map(async (name) => {
          const size = await sizeIfPresent(join(this.directory, name));
          return size === undefined
            ? []
            : [{ segment: parseWalName(name.slice(0, -PARTIAL.length)).name, bytes: size }];
        }),
      );
      return found.flat();
    });
  }

  /** What waits to be archived, in ascending order of name. */
  async finished(): Promise<readonly WalFileName[]> {
    return await this.#attempt('read', async () => {
      const names = await readdir(this.#done);
      return names
        .filter((entry) => !entry.startsWith('.'))
        .map((entry) => parseWalName(entry).name)
        .sort();
    });
  }

  /** What is there of partial segments that were put aside, those of one segment in the order in which they were. */
  async kept(): Promise<readonly KeptSegment[]> {
    if (!(await this.exists())) return [];
    return await this.#attempt('read', async () => {
      const found = (await readdir(this.#kept)).flatMap((entry) => {
        const [, segment, number] = /^([0-9A-F]{24})\.partial\.(\d{1,9})$/.exec(entry) ?? [];
        if (segment === undefined || number === undefined) return [];
        return [{ segment: parseWalName(segment).name, number: Number(number), path: join(this.#kept, entry) }];
      });
      return found.sort((a, b) => a.number - b.number).map(({ segment, path }) => ({ segment, path }));
    });
  }

  partialPath(segment: WalFileName): string {
    return join(this.directory, `${segment}${PARTIAL}`);
  }

  /** Whether some of this segment has come, in this session or an earlier one, and it is not whole. */
  async hasPartial(segment: WalFileName): Promise<boolean> {
    return await this.#attempt('read', async () => (await sizeIfPresent(this.partialPath(segment))) !== undefined);
  }

  finishedPath(file: WalFileName): string {
    return join(this.#done, file);
  }

  /** Makes the name of a new partial segment durable. */
  async syncName(): Promise<void> {
    await this.#attempt('sync', async () => {
      await syncDirectory(this.directory);
    });
  }

  /**
   * A segment that is whole and synced goes where it waits. One that waits there already stays: it may have been acknowledged.
   * @throws ARCHIVE_DUPLICATE when that has other bytes: both stay then
   */
  async finish(segment: WalFileName): Promise<void> {
    await this.#attempt(`finish ${segment} in`, async () => {
      if (await this.#waitsAlready(segment)) return;
      await rename(this.partialPath(segment), this.finishedPath(segment));
      // First where it is now: a crash in between leaves it under both names, never under none.
      await syncDirectory(this.#done);
      await syncDirectory(this.directory);
    });
  }

  async #waitsAlready(segment: WalFileName): Promise<boolean> {
    const path = this.finishedPath(segment);
    const size = await sizeIfPresent(path);
    if (size === undefined) return false;
    if (!(await beginAlike(path, this.partialPath(segment), size))) {
      const fact = `the server sends other bytes for ${segment} than wait in the spool`;
      throw new WaldenError('ARCHIVE_DUPLICATE', fact, { details: { path } });
    }
    await rm(this.partialPath(segment));
    return true;
  }

  /** A file that came whole. */
  async store(file: WalFileName, content: Uint8Array): Promise<void> {
    await this.#attempt(`store ${file} in`, async () => {
      const staged = join(this.#done, `.${file}`);
      const handle = await open(staged, 'w', FILE_MODE);
      try {
        await handle.writeFile(content);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(staged, this.finishedPath(file));
      await syncDirectory(this.#done);
    });
  }

  /** A partial segment goes where nothing touches it. @returns its path */
  async keep(segment: WalFileName): Promise<string> {
    return await this.#attempt(`keep ${segment} in`, async () => {
      const kept = await this.#freePath(`${segment}${PARTIAL}`);
      await rename(this.partialPath(segment), kept);
      await syncDirectory(this.#kept);
      await syncDirectory(this.directory);
      return kept;
    });
  }

  /** The same of a whole file. */
  async keepFinished(file: WalFileName): Promise<string> {
    return await this.#attempt(`keep ${file} in`, async () => {
      const kept = await this.#freePath(file);
      await rename(this.finishedPath(file), kept);
      await syncDirectory(this.#kept);
      await syncDirectory(this.#done);
      return kept;
    });
  }

  /** The same of a copy, before other bytes are written over it. @returns its path */
  async keepCopy(segment: WalFileName): Promise<string> {
    return await this.#attempt(`keep ${segment} in`, async () => {
      const kept = await this.#freePath(`${segment}${PARTIAL}`);
      const staged = join(this.#kept, `.${segment}`);
      await copyFile(this.partialPath(segment), staged);
      await syncFile(staged);
      await rename(staged, kept);
      await syncDirectory(this.#kept);
      return kept;
    });
  }

  /** Only once it is durable in every repository that the cluster requires. */
  async remove(file: WalFileName): Promise<void> {
    await this.#attempt(`remove ${file} from`, async () => {
      await rm(this.finishedPath(file), { force: true });
    });
  }

  async #freePath(file: string): Promise<string> {
    const taken = new Set(await readdir(this.#kept));
    let number = 1;
    while (taken.has(`${file}.${number}`)) number += 1;
    return join(this.#kept, `${file}.${number}`);
  }

  async #attempt<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      throw localIoError(error, `unable to ${what} the spool ${this.directory}`);
    }
  }
}

async function sizeIfPresent(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * For reading and writing, made when it is not there; nothing in it is cut off. Each write is as if fdatasync followed it, but
 * is one call: a commit that waits for it does not wait for a thread twice.
 */
export const OPEN_PARTIAL = constants.O_RDWR | constants.O_CREAT | constants.O_DSYNC;
export const PARTIAL_MODE = FILE_MODE;
