import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { localIoError, WaldenError } from '../../errors.ts';
import type { ListedFile } from './server-manifest.ts';

const GATHER_BYTES = 256 * 1024;
const LINE_END = 0x0a;

/**
 * What came of each file, to be compared with the server's manifest, which comes last and lists them in the order in which
 * they were sent. It stands in a file meanwhile: memory does not grow with the number of files. Synchronous: for a thread of
 * its own.
 */
export class ReceivedFiles {
  readonly #path: string;
  readonly #descriptor: number;
  readonly #buffer = Buffer.allocUnsafeSlow(GATHER_BYTES);
  #gathered: string[] = [];
  #gatheredLength = 0;
  /** Set once it is read. */
  #lines: Generator<string, void, undefined> | undefined;

  /** @throws LOCAL_IO, STORAGE_FULL, as everything here */
  constructor(path: string) {
    this.#path = path;
    this.#descriptor = this.#guarded(() => openSync(path, 'wx+', 0o640));
  }

  add(file: ListedFile): void {
    const line = lineOf(file);
    this.#gathered.push(line);
    this.#gatheredLength += line.length;
    if (this.#gatheredLength >= GATHER_BYTES) this.#flush();
  }

  /** The next one in the manifest is this one. @throws CHECKSUM_MISMATCH unless it is what came next, too */
  expect(file: ListedFile): void {
    this.#lines ??= this.#read();
    const next = this.#lines.next();
    if (next.done !== true && next.value === lineOf(file).slice(0, -1)) return;
    throw mismatch(`${JSON.stringify(file.name)} did not come as PostgreSQL sent it`);
  }

  /** Nothing came that the manifest does not list. @throws CHECKSUM_MISMATCH */
  expectEnd(): void {
    this.#lines ??= this.#read();
    if (this.#lines.next().done === true) return;
    throw mismatch('more files came than the backup_manifest lists');
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #flush(): void {
    const bytes = Buffer.from(this.#gathered.join(''));
    this.#gathered = [];
    this.#gatheredLength = 0;
    for (let done = 0; done < bytes.length;) {
      done += this.#guarded(() => writeSync(this.#descriptor, bytes, done));
    }
  }

  *#read(): Generator<string, void, undefined> {
    this.#flush();
    let rest = Buffer.alloc(0);
    for (let position = 0; ;) {
      const count = this.#guarded(() => readSync(this.#descriptor, this.#buffer, 0, GATHER_BYTES, position));
      if (count === 0) return;
      position += count;
      const bytes = Buffer.concat([rest, this.#buffer.subarray(0, count)]);
      let start = 0;
      for (let end = bytes.indexOf(LINE_END); end >= 0; end = bytes.indexOf(LINE_END, start)) {
        yield bytes.toString('utf8', start, end);
        start = end + 1;
      }
      rest = bytes.subarray(start);
    }
  }

  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw localIoError(error, `unable to write down the received files in ${this.#path}`);
    }
  }
}

function lineOf({ name, size, checksum }: ListedFile): string {
  return `${JSON.stringify([name, size, checksum])}\n`;
}

function mismatch(fact: string): WaldenError {
  return new WaldenError('CHECKSUM_MISMATCH', `the backup was damaged on its way from PostgreSQL: ${fact}`, {
    hint: 'take the backup again; if it comes back, look for what changes bytes between the two hosts',
  });
}
