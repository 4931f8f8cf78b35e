import { type FileHandle, open } from 'node:fs/promises';
import { type MockInstance, vi } from 'vitest';

/** Spies on `sync` of the file handles of this thread. To be restored afterwards. */
export async function spyOnFsync(): Promise<MockInstance<FileHandle['sync']>> {
  const handle = await open('/dev/null');
  await handle.close();
  return vi.spyOn(Object.getPrototypeOf(handle) as FileHandle, 'sync');
}

/** The same of `writev`. */
export async function spyOnWritev(): Promise<MockInstance<FileHandle['writev']>> {
  const handle = await open('/dev/null');
  await handle.close();
  return vi.spyOn(Object.getPrototypeOf(handle) as FileHandle, 'writev');
}

/** As Node says that the device failed. */
export function fsyncError(): Error {
  return Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO', errno: -5, syscall: 'fsync' });
}
