import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type TimelineId, timelineId } from './lsn.ts';

/** What the files of a data directory say about whose WAL is in it. */
export interface NodeState {
  /** Its server writes no WAL of its own. */
  readonly inRecovery: boolean;
  /** The newest of which pg_wal has the history or a segment; 1 where there is none. */
  readonly newestTimeline: TimelineId;
}

const SIGNALS = ['standby.signal', 'recovery.signal'];
const WAL_NAME = /^([0-9A-F]{8})(?:[0-9A-F]{16}|\.history$)/;

/**
 * The signals first: a promotion makes the first segment of the new timeline before it removes them (StartupXLOG in xlog.c;
 * the history comes before or after that), so that a server without a signal is never taken for one that writes the timeline
 * which it has left.
 * @throws Error of the system when pg_wal cannot be read
 */
export async function readNodeState(dataDirectory: string): Promise<NodeState> {
  const signals = await Promise.all(SIGNALS.map((name) => exists(join(dataDirectory, name))));
  let newest = 1;
  for (const name of await readdir(join(dataDirectory, 'pg_wal'))) {
    newest = Math.max(newest, Number.parseInt(WAL_NAME.exec(name)?.[1] ?? '1', 16));
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
