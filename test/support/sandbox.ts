import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * One temporary directory per process, and a watchdog that outlives the process: a shell that reads from a pipe whose
 * other end only this process holds. When the process ends, however it ends, the shell sees the end of the pipe, kills
 * every process that is noted in `pids/` and removes the directory.
 */
const WATCHDOG = `
trap '' INT TERM HUP
cat >/dev/null
for signal in QUIT KILL; do
  for file in "$SANDBOX"/pids/*; do
    [ -e "$file" ] && kill -s "$signal" -- "\${file##*/}" 2>/dev/null
  done
  left=30
  while [ $left -gt 0 ]; do
    alive=
    for file in "$SANDBOX"/pids/*; do
      [ -e "$file" ] && kill -s 0 -- "\${file##*/}" 2>/dev/null && alive=1
    done
    [ -z "$alive" ] && break
    left=$((left - 1))
    sleep 0.1
  done
done
rm -rf "$SANDBOX"
`;

let root: string | undefined;
let counter = 0;

function sandboxRoot(): string {
  if (root !== undefined) return root;
  root = mkdtempSync(join(tmpdir(), 'wld-'));
  mkdirSync(join(root, 'pids'));
  const watchdog = spawn('/bin/sh', ['-c', WATCHDOG], {
    cwd: '/',
    env: { PATH: process.env['PATH'], SANDBOX: root },
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  watchdog.unref();
  // A pipe to a child is a socket in Node; it must not keep this process alive.
  (watchdog.stdin as unknown as Socket).unref();
  return root;
}

/** A new empty directory with a short path (a unix socket's path holds 107 bytes), removed when this process ends. */
export function newDirectory(prefix: string): string {
  counter += 1;
  const directory = join(sandboxRoot(), `${prefix}${counter}`);
  mkdirSync(directory, { mode: 0o700 });
  return directory;
}

export function removeDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}

/** Has `pid` (a process, or a process group when negative) killed when this process ends. Call the result when it has ended. */
export function watchProcess(pid: number): () => void {
  const note = join(sandboxRoot(), 'pids', String(pid));
  writeFileSync(note, '');
  return () => {
    rmSync(note, { force: true });
  };
}
