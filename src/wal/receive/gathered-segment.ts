import { copyBytes } from '../../platform/copy-bytes.ts';
import type { WalFileName } from '../../postgres/wal-name.ts';

/**
 * A segment that is received into memory, since the server has all of it already: it goes to the repositories from there, and
 * the disk is spared one writing and one reading of each byte. Nothing of it is acknowledged before it is stored.
 */
export class GatheredSegment {
  readonly name: WalFileName;
  readonly #room: Buffer;
  #bytes = 0;

  /** @param room as long as the segment */
  constructor(name: WalFileName, room: SharedArrayBuffer) {
    this.name = name;
    this.#room = Buffer.from(room);
  }

  /** The next bytes of it. */
  append(bytes: Uint8Array): void {
    copyBytes(bytes, this.#room, this.#bytes);
    this.#bytes += bytes.byteLength;
  }

  get isWhole(): boolean {
    return this.#bytes === this.#room.length;
  }

  /** What has come. */
  get content(): Buffer {
    return this.#room.subarray(0, this.#bytes);
  }
}
