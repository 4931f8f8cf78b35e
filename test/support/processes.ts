import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** Sends a signal; 0 only asks. Whether there was such a process. */
export function signalProcess(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    // ESRCH: it has ended. EPERM cannot be: it is a process of this user.
    return false;
  }
}

/** The processes whose parent is `pid`: from /proc where there is one (small images have no ps), else from ps. */
export function childrenOf(pid: number): readonly number[] {
  const table = existsSync('/proc/self/stat') ? processesOfProc() : processesOfPs();
  return table.flatMap(([child, parent]) => (parent === pid && child !== undefined ? [child] : []));
}

function processesOfProc(): readonly (readonly (number | undefined)[])[] {
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      // `pid (name) state ppid …`: the name may hold anything, so what counts follows its last parenthesis.
      const fields = readFileSync(`/proc/${entry}/stat`, 'utf8');
      return [[Number(entry), Number(fields.slice(fields.lastIndexOf(')') + 2).split(' ')[1])]];
    } catch {
      // It ended between the listing and the reading.
      return [];
    }
  });
}

function processesOfPs(): readonly (readonly (number | undefined)[])[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8', timeout: 10_000 });
  return table.split('\n').map((line) => line.trim().split(/\s+/).map(Number));
}
