import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { writeSync } from 'node:fs';
import { localIoError, type WaldenError } from '../errors.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import type { StoredObject } from './object-bytes.ts';

const GATHER_BYTES = 256 * 1024;

/** A file in the staging directory that grows by small pieces and is hashed on the way. */
export class StagedFile {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #hash = createHash('sha256');
  readonly #gathered = Buffer.allocUnsafeSlow(GATHER_BYTES);
  #gatheredBytes = 0;
  #bytes = 0;

  /** @throws LOCAL_IO */
  static async create(path: string): Promise<StagedFile> {
    try {
      return new StagedFile(path, await open(path, 'wx', 0o640));
    } catch (cause) {
      throw writeFailure(path, cause);
    }
  }

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /** Copies the piece. @throws LOCAL_IO, STORAGE_FULL */
  write(piece: Uint8Array): void {
    for (let rest = piece; rest.byteLength > 0;) {
      const part = rest.subarray(0, GATHER_BYTES - this.#gatheredBytes);
      this.#gathered.set(part, this.#gatheredBytes);
      this.#gatheredBytes += part.byteLength;
      rest = rest.subarray(part.byteLength);
      if (this.#gatheredBytes === GATHER_BYTES) this.#flush();
    }
  }

  /** The hash of what was written so far; writing may go on. */
  hashSoFar(): string {
    this.#flush();
    return this.#hash.copy().digest('hex');
  }

  /** Makes it durable and closes it. @throws LOCAL_IO, STORAGE_FULL */
  async finish(): Promise<StoredObject> {
    this.#flush();
    try {
      await this.#handle.sync();
      await this.#handle.close();
    } catch (error) {
      throw writeFailure(this.path, error);
    }
    return { bytes: this.#bytes, sha256: this.#hash.digest('hex') as Sha256Hex };
  }

  /** After a failure; the file is removed with its directory. */
  async abandon(): Promise<void> {
    // Closed by `finish` before: nothing is left to do.
    await this.#handle.close().catch(() => undefined);
  }

  #flush(): void {
    const bytes = this.#gathered.subarray(0, this.#gatheredBytes);
    this.#gatheredBytes = 0;
    this.#hash.update(bytes);
    try {
      for (let done = 0; done < bytes.byteLength;) {
        done += writeSync(this.#handle.fd, bytes, done, bytes.byteLength - done, this.#bytes + done);
      }
    } catch (cause) {
      throw writeFailure(this.path, cause);
    }
    this.#bytes += bytes.byteLength;
  }
}

function writeFailure(path: string, cause: unknown): WaldenError {
  return localIoError(cause, `unable to write the staged file ${path}`);
}
