import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * File systems of a given size that only one process and its children see: a process of any user may mount in a user and
 * mount namespace of its own. There it is called root; towards all other files it stays who it is.
 */
export interface SmallDisk {
  /** Of a directory that exists when the process is started. */
  readonly path: string;
  readonly megabytes: number;
}

const NAMESPACE = ['unshare', '--user', '--map-root-user', '--mount'];
// Hidden: nobody who tidies up takes it for his own.
const BALLAST = '.ballast';

/** Why this system does not let its users mount; undefined where it does. */
export function whyNoDisks(): string | undefined {
  const [program, ...words] = [...NAMESPACE, 'mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', '/mnt'];
  const { status, error, stderr } = spawnSync(program, words, { encoding: 'utf8', timeout: 10_000 });
  if (status === 0) return undefined;
  return `no disks of their own for tests: ${error?.message ?? stderr.trim()}`;
}

/** Words before a program that is to see these disks. */
export function withinDisks(disks: readonly SmallDisk[]): readonly string[] {
  const mounts = disks.map(
    ({ path, megabytes }) => `mount -t tmpfs -o size=${megabytes}m,mode=0750 tmpfs '${path}' && `,
  );
  return [...NAMESPACE, '/bin/sh', '-c', `${mounts.join('')}exec "$@"`, 'sh'];
}

/** Where the process sees `path`, for everybody else. */
export function seenBy(pid: number, path: string): string {
  return join(`/proc/${pid}/root`, path);
}

/** Leaves no byte of room on the disk at `path` of the process `pid`. */
export function fillDisk(pid: number, path: string): void {
  const file = seenBy(pid, join(path, BALLAST));
  for (let bytes = 1 << 20; bytes > 0; bytes >>= 1) {
    try {
      for (;;) writeFileSync(file, Buffer.alloc(bytes), { flag: 'a' });
    } catch {
      // So many do not fit any more: fewer may.
    }
  }
}

/** Gives the room back. */
export function freeDisk(pid: number, path: string): void {
  rmSync(seenBy(pid, join(path, BALLAST)), { force: true });
}

/** Runs a program where the process `pid` is, with its disks. */
export function beside(pid: number): readonly string[] {
  return ['nsenter', `--target=${pid}`, '--user', '--mount', '--preserve-credentials'];
}

/** Makes the disk at `path` of the process `pid` read-only, or writable again. */
export function remount(pid: number, path: string, mode: 'ro' | 'rw'): void {
  const [program, ...words] = [...beside(pid), 'mount', '-o', `remount,bind,${mode}`, path];
  const { status, stderr } = spawnSync(program, words, { encoding: 'utf8', timeout: 10_000 });
  if (status !== 0) throw new Error(`unable to remount ${path}: ${stderr}`);
}
