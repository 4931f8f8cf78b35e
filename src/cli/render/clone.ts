import type { StartedStandby } from '../../restore/start-standby.ts';
import { renderRestore } from './restore.ts';

/** What was made, and, unless it is started now, how to start it. */
export function renderClone(result: unknown, isStarting: boolean): string {
  if (!isStarting || typeof result !== 'object' || result === null) return renderRestore(result);
  return renderRestore({ ...result, startCommand: undefined });
}

export function renderStarted({ pid, port, state, log }: StartedStandby): string {
  const doing =
    state === 'streaming'
      ? 'it streams from the primary'
      : 'a WAL receiver runs in it; whether it streams is not shown to this role: look at pg_stat_replication on the primary';
  return [`started: process ${pid}, port ${port}`, `  ${doing}`, `  log: ${log}`].join('\n');
}
