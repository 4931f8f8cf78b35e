import { crc32c } from '../../src/postgres/crc32c.ts';

/** CATALOG_VERSION_NO of 17. */
const CATALOG_VERSION = 202406281;

/** A pg_control of PostgreSQL 17 with what Walden reads of it. */
export function controlFile({
  systemIdentifier = 7n,
  checkpoint = 0x200028n,
  timeline = 1,
}: {
  readonly systemIdentifier?: bigint;
  readonly checkpoint?: bigint;
  readonly timeline?: number;
} = {}): Buffer {
  const bytes = Buffer.alloc(8192);
  bytes.writeBigUInt64LE(systemIdentifier, 0);
  bytes.writeUInt32LE(CATALOG_VERSION, 12);
  bytes.writeBigUInt64LE(checkpoint, 32);
  bytes.writeUInt32LE(timeline, 48);
  bytes.writeDoubleLE(1234567, 208);
  bytes.writeUInt32LE(8192, 216);
  bytes.writeUInt32LE(8192, 224);
  bytes.writeUInt32LE(1 << 20, 228);
  bytes.writeUInt32LE(crc32c(bytes, 0, 288), 288);
  return bytes;
}
