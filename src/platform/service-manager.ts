import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const NOTIFY_TIMEOUT_MS = 5000;

/**
 * Tells systemd about the service (sd_notify(3)); does nothing where there is no systemd. Node has no datagram sockets of
 * the unix kind, so systemd's own program says it: the unit needs NotifyAccess=all.
 */
export async function notifyServiceManager(state: 'READY=1' | 'STOPPING=1'): Promise<void> {
  if (process.env['NOTIFY_SOCKET'] === undefined) return;
  await promisify(execFile)('systemd-notify', [`--pid=${process.pid}`, state], { timeout: NOTIFY_TIMEOUT_MS });
}
