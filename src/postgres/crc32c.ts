import { crc32cMemory, SCRATCH_AREA } from './crc32c-memory.ts';

/**
 * CRC-32C (Castagnoli), PostgreSQL's checksum of WAL records and of pg_control. Of bytes [start, end), going on from `crc`:
 * the value of what came before, 0 at the beginning.
 * @throws LOCAL_IO as crc32cMemory
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, crc = 0): number {
  const memory = crc32cMemory();
  let sum = crc;
  for (let at = start; at < end; at += SCRATCH_AREA.bytes) {
    const part = bytes.subarray(at, Math.min(end, at + SCRATCH_AREA.bytes));
    memory.bytes.set(part, SCRATCH_AREA.start);
    sum = memory.crcOfBytes(SCRATCH_AREA.start, SCRATCH_AREA.start + part.length, sum);
  }
  return sum >>> 0;
}
