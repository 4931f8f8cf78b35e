import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

export const canBeApart = process.platform === 'linux' && availableParallelism() >= 2;

/** As taskset takes it. */
const ALL = `0-${availableParallelism() - 1}`;

/**
 * Starts a store on the first core alone, and has this process use the others: as if the store were on a host of its own, so that
 * nobody makes it slower by what he computes himself.
 */
export async function startApart<Store>(start: () => Promise<Store>): Promise<Store> {
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

/** Those of processes that are started later are the same. taskset is of util-linux. */
function useCores(list: string): void {
  execFileSync('taskset', ['--all-tasks', '--pid', '--cpu-list', list, String(process.pid)], { stdio: 'ignore' });
}
