import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { localIoError } from '../errors.ts';

const GATHER_BYTES = 1024 * 1024;

/** Appends frames to a staged pack, small ones gathered into larger writes. Synchronous: for a worker. */
export class FrameSink {
  readonly #path: string;
  readonly #descriptor: number;
  readonly #gathered = gatherBuffer;
  readonly #onWritten: (bytes: Uint8Array) => void;
  #gatheredBytes = 0;
  #written: number;

  /**
   * Goes on at `offset`; what stands behind it is overwritten. `onWritten` is given each piece that was written, in order.
   * @throws LOCAL_IO, STORAGE_FULL
   */
  constructor(path: string, offset: number, onWritten: (bytes: Uint8Array) => void = () => undefined) {
    this.#path = path;
    this.#onWritten = onWritten;
    this.#written = offset;
    this.#descriptor = this.#guarded(() => openSync(path, constants.O_RDWR | constants.O_CREAT, 0o640));
  }

  /** Where the next frame begins. */
  get offset(): number {
    return this.#written + this.#gatheredBytes;
  }

  write(frame: Uint8Array): void {
    if (this.#gatheredBytes + frame.byteLength > GATHER_BYTES) this.flush();
    if (frame.byteLength > GATHER_BYTES) {
      this.#writeAll(frame);
      return;
    }
    this.#gathered.set(frame, this.#gatheredBytes);
    this.#gatheredBytes += frame.byteLength;
  }

  flush(): void {
    const bytes = this.#gathered.subarray(0, this.#gatheredBytes);
    this.#gatheredBytes = 0;
    this.#writeAll(bytes);
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #writeAll(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.byteLength;) {
      const count = this.#guarded(() =>
        writeSync(this.#descriptor, bytes, done, bytes.byteLength - done, this.#written),
      );
      done += count;
      this.#written += count;
    }
    this.#onWritten(bytes);
  }

  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw localIoError(error, `unable to write the staged pack ${this.#path}`);
    }
  }
}

// One task at a time runs on a thread, so its sinks can share the buffer.
const gatherBuffer = Buffer.allocUnsafeSlow(GATHER_BYTES);
