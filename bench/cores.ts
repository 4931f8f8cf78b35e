import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

/** Which of this machine's cores a process uses (taskset of util-linux): those of its children are the same. */
const ALL = `0-${availableParallelism() - 1}`;

/**
 * Starts a store on the first core alone, and has this process use the others: as if the store were on a host of its own, so that
 * nobody makes it slower by what he computes himself.
 */
export async function startApart<Store>(start: () => Promise<Store>): Promise<Store> {
  if (availableParallelism() < 2) throw new Error('--apart needs two cores');
  useCores('0');
  try {
    return await start();
  } finally {
    useCores(ALL.replace('0-', '1-'));
  }
}

export function useAllCores(): void {
  useCores(ALL);
}

function useCores(list: string): void {
  execFileSync('taskset', ['--all-tasks', '--pid', '--cpu-list', list, String(process.pid)], { stdio: 'ignore' });
}
