import { crc32c as nativeCrc32c } from '@node-rs/crc32';

/**
 * CRC-32C (Castagnoli), PostgreSQL's checksum of WAL records and of pg_control. The native function is several times
 * faster per byte, but a call of it costs as much as some hundred bytes do here.
 */
const NATIVE_FROM_BYTES = 256;

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
  return crc32cOfView(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), start, end, crc);
}

/** As crc32c, for a caller who sums many short parts of one view: words are read faster than bytes. */
export function crc32cOfView(view: DataView, start: number, end: number, crc: number): number {
  const length = end - start;
  if (length >= NATIVE_FROM_BYTES)
    return nativeCrc32c(new Uint8Array(view.buffer, view.byteOffset + start, length), crc);
  let c = ~crc;
  let at = start;
  /* eslint-disable @typescript-eslint/no-non-null-assertion -- every index is in range by construction, and this is hot */
  for (; at + 8 <= end; at += 8) {
    const low = c ^ view.getInt32(at, true);
    const high = view.getInt32(at + 4, true);
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
  for (; at < end; at += 1) c = (c >>> 8) ^ TABLE[(c ^ view.getUint8(at)) & 0xff]!;
  /* eslint-enable @typescript-eslint/no-non-null-assertion */
  return ~c >>> 0;
}
