import { createHash } from 'node:crypto';
import { open, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isWaldenError, WaldenError } from '../errors.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import type { Clock } from '../platform/clock.ts';
import { parseControlFile } from '../postgres/control-file.ts';
import { micros, type Micros } from '../postgres/timestamp.ts';
import type { FileAttributes, PackMember } from './pack-input.ts';

/**
 * The files that end a backup. They are staged first, because their bytes are not, or not safely, those of a file in the
 * data directory: `backup_label` comes from pg_backup_stop, and the server writes `global/pg_control` while it is read.
 */

const CONTROL_PATH = 'global/pg_control';
const ATTEMPTS = 20;
const PAUSE_MS = 50;

export interface StagedMember {
  readonly member: PackMember;
  readonly path: string;
  readonly size: number;
  readonly mtime: Micros;
  readonly sha256: Sha256Hex;
}

/**
 * Reads pg_control until its own checksum is right, and stages it.
 * @throws FORMAT_INVALID when it stays wrong, LOCAL_IO
 */
export async function stageControlFile(
  dataDirectory: string,
  directory: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<StagedMember> {
  const source = join(dataDirectory, CONTROL_PATH);
  for (let attempt = 1; ; attempt += 1) {
    const { bytes, attributes } = await readWithAttributes(source);
    try {
      parseControlFile(bytes);
      return await stage(directory, CONTROL_PATH, bytes, attributes);
    } catch (error) {
      if (attempt === ATTEMPTS || !isWaldenError(error, 'FORMAT_INVALID', 'CHECKSUM_MISMATCH')) throw error;
      await clock.sleep(PAUSE_MS, signal);
    }
  }
}

/** Stages a text under a path of the backup, with the owner and mode of `like`. */
export async function stageText(
  directory: string,
  path: string,
  text: string,
  like: StagedMember,
): Promise<StagedMember> {
  const attributes = like.member.attributes ?? { mode: 0o600, uid: 0, gid: 0, mtime: like.mtime };
  return await stage(directory, path, Buffer.from(text), attributes);
}

async function stage(
  directory: string,
  path: string,
  bytes: Buffer,
  attributes: FileAttributes,
): Promise<StagedMember> {
  const source = join(directory, path.replace('/', '_'));
  await writeFile(source, bytes, { mode: 0o600 });
  return {
    member: { type: 'file', path, source, attributes },
    path,
    size: bytes.byteLength,
    mtime: micros(attributes.mtime),
    sha256: createHash('sha256').update(bytes).digest('hex') as Sha256Hex,
  };
}

async function readWithAttributes(source: string): Promise<{ bytes: Buffer; attributes: FileAttributes }> {
  try {
    const handle = await open(source, 'r');
    try {
      const bytes = await handle.readFile();
      const { mode, uid, gid, mtimeNs } = await stat(source, { bigint: true });
      return {
        bytes,
        attributes: {
          mode: Number(mode) & 0o7777,
          uid: Number(uid),
          gid: Number(gid),
          mtime: Number(mtimeNs / 1000n),
        },
      };
    } finally {
      await handle.close();
    }
  } catch (cause) {
    const fact = cause instanceof Error ? cause.message : String(cause);
    throw new WaldenError('LOCAL_IO', `unable to read ${source}: ${fact}`, { cause });
  }
}
