import { crcTables } from './crc32c-code.ts';

const TABLE = crcTables().subarray(0, 256);

/**
 * CRC-32C (Castagnoli), PostgreSQL's checksum of WAL records and of pg_control. Of bytes [start, end), going on from `crc`:
 * the value of what came before, 0 at the beginning. Byte by byte, for small things: WAL is summed in crc32c-memory.ts, and
 * what is large in crc32c-bytes.ts.
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, crc = 0): number {
  let inverted = ~crc;
  for (let at = start; at < end; at += 1) {
    inverted = (inverted >>> 8) ^ (TABLE[(inverted ^ (bytes[at] ?? 0)) & 0xff] ?? 0);
  }
  return ~inverted >>> 0;
}
