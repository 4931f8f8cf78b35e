import { createHash } from 'node:crypto';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { localIoError } from '../errors.ts';
import type { Sha256Hex } from '../../storage-drivers/driver.ts';
import { readControlFileBytes } from '../postgres/control-file.ts';
import { micros, type Micros } from '../postgres/timestamp.ts';
import type { FileAttributes, PackMember } from './pack-input.ts';

/**
 * The files that end a backup. They are staged first, because their bytes are not, or not safely, those of a file in the
 * data directory: `backup_label` comes from pg_backup_stop, and the server writes `global/pg_control` while it is read. Over
 * the protocol they come in another order.
 */

const CONTROL_PATH = 'global/pg_control';

export interface StagedMember {
  readonly member: PackMember;
  readonly path: string;
  readonly size: number;
  readonly mtime: Micros;
  readonly sha256: Sha256Hex;
}

/** Stages pg_control as it is now, its own checksum right. @throws FORMAT_INVALID when it stays torn, LOCAL_IO */
export async function stageControlFile(dataDirectory: string, directory: string): Promise<StagedMember> {
  const bytes = await readControlFileBytes(dataDirectory);
  return await stageBytes(directory, CONTROL_PATH, bytes, await attributesOf(join(dataDirectory, CONTROL_PATH)));
}

/** Stages a text under a path of the backup, with the owner and mode of `like`. */
export async function stageText(
  directory: string,
  path: string,
  text: string,
  like: StagedMember,
): Promise<StagedMember> {
  const attributes = like.member.attributes ?? { mode: 0o600, uid: 0, gid: 0, mtime: like.mtime };
  return await stageBytes(directory, path, Buffer.from(text), attributes);
}

/** Stages bytes under a path of the backup. @throws LOCAL_IO, STORAGE_FULL */
export async function stageBytes(
  directory: string,
  path: string,
  bytes: Uint8Array,
  attributes: FileAttributes,
): Promise<StagedMember> {
  const source = join(directory, path.replace('/', '_'));
  try {
    await writeFile(source, bytes, { mode: 0o600 });
  } catch (error) {
    throw localIoError(error, `unable to write the staged file ${source}`);
  }
  return {
    member: { type: 'file', path, source, attributes },
    path,
    size: bytes.byteLength,
    mtime: micros(attributes.mtime),
    sha256: createHash('sha256').update(bytes).digest('hex') as Sha256Hex,
  };
}

async function attributesOf(source: string): Promise<FileAttributes> {
  try {
    const { mode, uid, gid, mtimeNs } = await stat(source, { bigint: true });
    return { mode: Number(mode) & 0o7777, uid: Number(uid), gid: Number(gid), mtime: Number(mtimeNs / 1000n) };
  } catch (error) {
    throw localIoError(error, `unable to read ${source}`);
  }
}
