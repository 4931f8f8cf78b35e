import { createHash, type Hash } from 'node:crypto';
import type { Sha256Hex } from '../../../storage-drivers/driver.ts';
import { crc32cOf } from '../../postgres/crc32c-bytes.ts';

/** Bytes of one file in a room, from `start` to `end`. What a file has in several rooms is given in its order. */
export interface HashRange {
  readonly start: number;
  readonly end: number;
  /** Whether the file ends here. */
  readonly endsFile: boolean;
}

/** Of all bytes of one file. */
export interface FileDigest {
  readonly sha256: Sha256Hex;
  readonly crc32c: number;
}

/** Both hashes of files that come one after the other, in rooms. */
export class UnitHash {
  #sha256: Hash = createHash('sha256');
  #crc32c = 0;

  /** @returns those of the files that end in the room, in their order @throws LOCAL_IO */
  digests(room: Uint8Array, ranges: readonly HashRange[]): readonly FileDigest[] {
    const digests: FileDigest[] = [];
    for (const { start, end, endsFile } of ranges) {
      const bytes = room.subarray(start, end);
      this.#sha256.update(bytes);
      this.#crc32c = crc32cOf(bytes, this.#crc32c);
      if (!endsFile) continue;
      digests.push({ sha256: this.#sha256.digest('hex') as Sha256Hex, crc32c: this.#crc32c });
      this.#sha256 = createHash('sha256');
      this.#crc32c = 0;
    }
    return digests;
  }
}
