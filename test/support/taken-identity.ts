import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32c } from '../../src/postgres/crc32c.ts';

/** Where the system identifier stands: at the start of pg_control, and in the long header of a segment's first page. */
const IN_CONTROL = 0;
const IN_SEGMENT = 24;

/** Gives a new, stopped cluster the system identifier of another one: nothing else tells the two apart any more. */
export function takeIdentityOf(original: string, dataDirectory: string): void {
  const control = readFileSync(join(original, 'global', 'pg_control'));
  giveIdentity(dataDirectory, control.subarray(IN_CONTROL, IN_CONTROL + 8));
}

/** Gives a new, stopped cluster this system identifier, of 8 bytes as PostgreSQL stores them. */
export function giveIdentity(dataDirectory: string, identifier: Buffer): void {
  const path = join(dataDirectory, 'global', 'pg_control');
  const control = readFileSync(path);
  const at = checksumPosition(control);
  identifier.copy(control, IN_CONTROL);
  control.writeUInt32LE(crc32c(control.subarray(0, at)), at);
  writeFileSync(path, control);
  for (const name of readdirSync(join(dataDirectory, 'pg_wal')).filter((entry) => /^[0-9A-F]{24}$/.test(entry))) {
    const segment = readFileSync(join(dataDirectory, 'pg_wal', name));
    identifier.copy(segment, IN_SEGMENT);
    writeFileSync(join(dataDirectory, 'pg_wal', name), segment);
  }
}

/** The last member of ControlFileData, whose size differs between the versions. */
function checksumPosition(control: Buffer): number {
  for (let at = 200; at < 512; at += 4) if (crc32c(control.subarray(0, at)) === control.readUInt32LE(at)) return at;
  throw new Error('pg_control has no checksum where one is expected');
}
