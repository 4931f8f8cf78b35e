import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { localIoError } from '../../errors.ts';

const GATHER_BYTES = 64 * 1024;

/** A file of lines that grows in large steps. It need not last longer than this process. */
export class LineFile {
  readonly #path: string;
  readonly #descriptor: number;
  #gathered = '';
  #isOpen = true;

  /** What was there before is gone. @throws LOCAL_IO */
  constructor(path: string) {
    this.#path = path;
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
    this.#descriptor = this.#onDisk(() => openSync(path, flags, 0o600));
  }

  /** @throws LOCAL_IO, STORAGE_FULL */
  write(line: string): void {
    this.#gathered += `${line}\n`;
    if (this.#gathered.length >= GATHER_BYTES) this.#flush();
  }

  /** @throws LOCAL_IO, STORAGE_FULL */
  close(): void {
    try {
      this.#flush();
    } finally {
      this.abandon();
    }
  }

  /** After a failure; closed before, nothing is left to do. */
  abandon(): void {
    if (this.#isOpen) closeSync(this.#descriptor);
    this.#isOpen = false;
  }

  #flush(): void {
    const bytes = Buffer.from(this.#gathered, 'utf8');
    this.#gathered = '';
    this.#onDisk(() => {
      for (let done = 0; done < bytes.byteLength;) done += writeSync(this.#descriptor, bytes, done);
    });
  }

  #onDisk<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      throw localIoError(error, `unable to write ${this.#path}`);
    }
  }
}
