import { crc32c } from '@node-rs/crc32';

/**
 * CRC-32C of many bytes, which may stand in shared memory, going on from `crc`: 0 at the beginning; as a signed number. By
 * the processor's own instruction: three times as fast as crc32c-memory.ts, which sums records of WAL where it reads them.
 */
export function crc32cOf(bytes: Uint8Array, crc: number): number {
  return crc32c(bytes, crc >>> 0) | 0;
}
