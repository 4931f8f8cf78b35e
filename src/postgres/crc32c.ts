import { crc32c as nativeCrc32c } from '@node-rs/crc32';

/**
 * CRC-32C (Castagnoli), PostgreSQL's checksum of WAL records and of pg_control. The native function is several times
 * faster per byte, but a call of it costs as much as some hundred bytes do here.
 */
const NATIVE_FROM_BYTES = 384;

// Slicing by 8: table k gives the effect of a byte that stands k bytes further ahead.
const TABLE = makeTable();

function makeTable(): Int32Array {
  const table = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    table[byte] = crc;
  }
  for (let k = 1; k < 8; k += 1) {
    for (let byte = 0; byte < 256; byte += 1) {
      const before = table[(k - 1) * 256 + byte] ?? 0;
      table[k * 256 + byte] = (before >>> 8) ^ (table[before & 0xff] ?? 0);
    }
  }
  return table;
}

/** Of bytes [start, end), going on from `crc`: the value of what came before, 0 at the beginning. */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, crc = 0): number {
  if (end - start >= NATIVE_FROM_BYTES) return nativeCrc32c(bytes.subarray(start, end), crc);
  return tailCrc(bytes, start, end, ~crc);
}

/**
 * As crc32c, for a caller who sums many short parts of one buffer: `words` are the same bytes, and `start` is a multiple
 * of 4. Words are read faster than bytes.
 */
export function crc32cOfWords(bytes: Uint8Array, words: Int32Array, start: number, end: number, crc: number): number {
  if (end - start >= NATIVE_FROM_BYTES) return nativeCrc32c(bytes.subarray(start, end), crc);
  let c = ~crc;
  let word = start >>> 2;
  /* eslint-disable @typescript-eslint/no-non-null-assertion -- every index is in range by construction, and this is hot */
  for (const last = (end >>> 2) - 1; word < last; word += 2) {
    const low = c ^ words[word]!;
    const high = words[word + 1]!;
    c =
      TABLE[1792 + (low & 0xff)]! ^
      TABLE[1536 + ((low >>> 8) & 0xff)]! ^
      TABLE[1280 + ((low >>> 16) & 0xff)]! ^
      TABLE[1024 + (low >>> 24)]! ^
      TABLE[768 + (high & 0xff)]! ^
      TABLE[512 + ((high >>> 8) & 0xff)]! ^
      TABLE[256 + ((high >>> 16) & 0xff)]! ^
      TABLE[high >>> 24]!;
  }
  return tailCrc(bytes, word << 2, end, c);
}

function tailCrc(bytes: Uint8Array, start: number, end: number, inverted: number): number {
  let c = inverted;
  for (let at = start; at < end; at += 1) c = (c >>> 8) ^ TABLE[(c ^ bytes[at]!) & 0xff]!;
  /* eslint-enable @typescript-eslint/no-non-null-assertion */
  return ~c >>> 0;
}
