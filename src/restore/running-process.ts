import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { localIoError, systemErrorCode } from '../errors.ts';

/** Names one process for good: its id alone is given to another one some day. */
export interface ProcessStamp {
  readonly pid: number;
  /** Clock ticks between the boot and its start; undefined where the system does not say. */
  readonly startTicks: string | undefined;
}

export async function processStamp(pid: number): Promise<ProcessStamp> {
  return { pid, startTicks: await startTicks(pid) };
}

/** Whether that very process still runs. In doubt, it does. */
export async function isRunning({ pid, startTicks: stamped }: ProcessStamp): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: there is one, and it belongs to somebody else.
    if (systemErrorCode(error) === 'ESRCH') return false;
  }
  const current = await startTicks(pid);
  return stamped === undefined || current === undefined || stamped === current;
}

/** Field 22 of /proc/<pid>/stat; the second field, a name in parentheses, may hold anything. */
async function startTicks(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    // No /proc on this system, or the process has ended.
    return undefined;
  }
}

/** The live postmaster that postmaster.pid of a data directory names, or undefined. @throws LOCAL_IO */
export async function runningPostmaster(dataDirectory: string): Promise<number | undefined> {
  let text: string;
  try {
    text = await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return undefined;
    throw localIoError(error, `unable to see whether a server runs in ${dataDirectory}`);
  }
  const pid = Number.parseInt(text, 10);
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  return (await isRunning({ pid, startTicks: undefined })) ? pid : undefined;
}
