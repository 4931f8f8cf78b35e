import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type TimelineId, timelineId } from './lsn.ts';

/** What the files of a data directory say about whose WAL is in it. */
export interface NodeState {
  /** Its server writes no WAL of its own. */
  readonly inRecovery: boolean;
  /** The newest of which pg_wal has the history; 1 where there is none. A server that was promoted has its own one's. */
  readonly newestTimeline: TimelineId;
}

const SIGNALS = ['standby.signal', 'recovery.signal'];
const HISTORY = /^([0-9A-F]{8})\.history$/;

/**
 * The signals first: a promotion removes them and writes the history of the new timeline (StartupXLOG in xlog.c; the one right
 * after the other, since version 14 in this order), and what is seen then is the newer state. A segment of a newer timeline says
 * nothing: a promotion that was cut short leaves one to a server that goes on with the old timeline.
 * @throws Error of the system when pg_wal cannot be read
 */
export async function readNodeState(dataDirectory: string): Promise<NodeState> {
  const signals = await Promise.all(SIGNALS.map((name) => exists(join(dataDirectory, name))));
  let newest = 1;
  for (const name of await readdir(join(dataDirectory, 'pg_wal'))) {
    newest = Math.max(newest, Number.parseInt(HISTORY.exec(name)?.[1] ?? '1', 16));
  }
  return { inRecovery: signals.includes(true), newestTimeline: timelineId(newest) };
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    // Whatever cannot be seen there is no signal to the server either.
    return false;
  }
}
