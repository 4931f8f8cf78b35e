import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fdatasync,
  fsyncSync,
  futimesSync,
  openSync,
  writeSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { localIoError, systemErrorCode, WaldenError } from '../errors.ts';
import type { Micros } from '../postgres/timestamp.ts';

export interface TargetOwner {
  readonly uid: number;
  readonly gid: number;
}

interface TargetAttributes {
  /** As in the manifest, for errors. */
  readonly path: string;
  /** Where it goes: absolute. */
  readonly target: string;
  readonly mode: number;
  readonly mtime: Micros;
}

const FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW;
const HINT = { hint: 'make room there and check its permissions, or restore to another directory' };
/** After so many bytes the disk begins to write a large file, beside the work on the rest of it. */
const WRITE_BACK_BYTES = 64 * 1024 * 1024;
const writeBack = promisify(fdatasync);

/** A file that a worker restores. Every method throws LOCAL_IO or STORAGE_FULL. */
export class TargetFile {
  readonly #file: TargetAttributes;
  readonly #descriptor: number;
  #dirtyBytes = 0;
  /** Never ignored: the kernel tells an error of the disk once, and a later fsync may succeed in spite of it. */
  #writingBack: Promise<void> = Promise.resolve();

  /** `again`: an earlier attempt may have left the file. @throws FORMAT_INVALID when it is there, and no attempt was before */
  constructor(file: TargetAttributes, again: boolean) {
    this.#file = file;
    try {
      this.#descriptor = openSync(file.target, FLAGS | (again ? constants.O_TRUNC : constants.O_EXCL), 0o600);
    } catch (error) {
      // Two writers would leave a mixture that has neither's hash.
      if (!again && systemErrorCode(error) === 'EEXIST') {
        const fact = `the manifest names ${file.path} twice, or something else writes there`;
        throw new WaldenError('FORMAT_INVALID', fact, { hint: 'choose another backup with --backup, and report this' });
      }
      throw localIoError(error, `unable to make ${file.target}`, HINT);
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#onDisk(() => {
      for (let done = 0; done < bytes.byteLength;) done += writeSync(this.#descriptor, bytes, done);
    });
    this.#dirtyBytes += bytes.byteLength;
    if (this.#dirtyBytes < WRITE_BACK_BYTES) return;
    this.#dirtyBytes = 0;
    await this.#writtenBack();
    this.#writingBack = writeBack(this.#descriptor);
    // `sync` hears of a failure; until then it must not count as unhandled.
    this.#writingBack.catch(() => undefined);
  }

  /** Mode, owner and time as they were. */
  setAttributes(owner: TargetOwner | undefined): void {
    const { mode, mtime } = this.#file;
    this.#onDisk(() => {
      if (owner !== undefined) fchownSync(this.#descriptor, owner.uid, owner.gid);
      fchmodSync(this.#descriptor, mode & 0o777);
      futimesSync(this.#descriptor, mtime / 1e6, mtime / 1e6);
    });
  }

  /** Durable when it resolves. */
  async sync(): Promise<void> {
    await this.#writtenBack();
    this.#onDisk(() => {
      fsyncSync(this.#descriptor);
    });
  }

  async close(): Promise<void> {
    // Told already, or of no interest after what went wrong first.
    await this.#writingBack.catch(() => undefined);
    closeSync(this.#descriptor);
  }

  async #writtenBack(): Promise<void> {
    try {
      await this.#writingBack;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  #onDisk(work: () => void): void {
    try {
      work();
    } catch (error) {
      throw this.#failure(error);
    }
  }

  #failure(error: unknown): WaldenError {
    return localIoError(error, `unable to write ${this.#file.target}`, HINT);
  }
}
