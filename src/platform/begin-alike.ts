import { type FileHandle, open } from 'node:fs/promises';
import { localIoError } from '../errors.ts';

const CHUNK_BYTES = 256 * 1024;

/** Whether two files both have so many bytes, and the same ones. @throws LOCAL_IO */
export async function beginAlike(one: string, other: string, bytes: number): Promise<boolean> {
  const files: FileHandle[] = [];
  try {
    for (const path of [one, other]) files.push(await open(path));
    for (let at = 0; at < bytes; at += CHUNK_BYTES) {
      const wanted = Math.min(CHUNK_BYTES, bytes - at);
      const [left, right] = await Promise.all(files.map((file) => chunkOf(file, at, wanted)));
      if (left?.length !== wanted || right === undefined || !left.equals(right)) return false;
    }
    return true;
  } catch (error) {
    throw localIoError(error, `unable to compare ${one} and ${other}`);
  } finally {
    for (const file of files) await file.close();
  }
}

async function chunkOf(file: FileHandle, at: number, wanted: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(wanted), 0, wanted, at);
  return buffer.subarray(0, bytesRead);
}
